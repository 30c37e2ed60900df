#!/bin/bash
# A study in one Slurm allocation, on a Ray cluster of its nodes:
#
#     sbatch examples/cluster/slurm.sh --space crops_vs_epochs --preset paper --output /shared/runs
#
# A minute before the time is over, or when the job is preempted, the study is interrupted and the job queued again; it
# resumes. --output must be a folder that all nodes share.
#SBATCH --job-name=study
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=1
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append

set -u
export RAY_AUTH_MODE=token # strangers on the network cannot join; the token lies in the home folder
ray get-auth-token --generate > /dev/null

head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
head_ip=$(srun --nodes=1 --ntasks=1 --nodelist="$head_node" hostname --ip-address | awk '{print $1}')
address=$head_ip:$((20000 + SLURM_JOB_ID % 20000))

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head_node" \
    ray start --head --block --node-ip-address="$head_ip" --port="${address##*:}" --num-cpus="$SLURM_CPUS_PER_TASK" &
until ray status --address="$address" > /dev/null 2>&1; do sleep 2; done
if [ "$SLURM_NNODES" -gt 1 ]; then
    srun --overlap --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$head_node" \
        ray start --block --address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" &
    sleep 20 # what fits is counted once, when the study starts
fi

ssl-studies run --address "$address" "$@" &
study=$!
trap 'kill -TERM $study' TERM
wait $study
code=$?
while kill -0 $study 2> /dev/null; do # the signal has ended the waiting, not yet the study
    wait $study
    code=$?
done
case $code in
    143 | 75) scontrol requeue "$SLURM_JOB_ID" ;; # interrupted; storage full
esac
exit $code
