"""The files for clusters say what the command takes; the Slurm script passes a signal on and queues the job again.

There is no Slurm and no Kubernetes here: Slurm's own commands are stood in for, those of the script's shell are not.
"""

import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from patience import PATIENCE_SECONDS, wait_until

from study.spec.options import study_parser

CLUSTER = Path(__file__).resolve().parents[2] / "examples" / "cluster"
STUDY = """trap '/bin/sleep 0.3; kill $!; exit {code}' TERM
echo "$@" > called
/bin/sleep 60 &
wait
"""
SLURM = {
    "scontrol": 'case $1 in show) echo node1; echo node2;; requeue) echo "$@" >> requeued;; esac\n',
    "srun": 'case "$*" in *hostname*) echo 192.0.2.7;; *"ray start"*) echo "$@" >> started;; esac\n',
    "ray": "exit 0\n",
    "sleep": "exit 0\n",
}


@pytest.mark.parametrize(("code", "is_requeued"), [(143, True), (1, False)])
def test_the_slurm_script_passes_the_signal_on_and_requeues(tmp_path: Path, code: int, is_requeued: bool) -> None:
    for name, text in (SLURM | {"ssl-studies": STUDY.format(code=code)}).items():
        (tmp_path / name).write_text("#!/bin/bash\n" + text)
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_JOB_ID": "41", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NNODES": "2", "SLURM_CPUS_PER_TASK": "4"}
    environment = os.environ | slurm | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["bash", str(CLUSTER / "slurm.sh"), "--space", "crops_vs_epochs", "--output", "/shared/my runs"]
    job = subprocess.Popen(command, cwd=tmp_path, env=environment)
    try:
        wait_until(lambda: (tmp_path / "called").exists() or job.poll() is not None)
        job.send_signal(signal.SIGTERM)
        assert job.wait(timeout=PATIENCE_SECONDS) == code
    finally:
        job.kill()
    called = (tmp_path / "called").read_text().split()
    assert called[:3] == ["run", "--address", "192.0.2.7:20041"] and called[3:5] == ["--space", "crops_vs_epochs"]
    assert (tmp_path / "requeued").exists() == is_requeued
    head, workers = sorted((tmp_path / "started").read_text().splitlines(), key=lambda line: "--head" not in line)
    assert "--nodelist=node1" in head and "--port=20041" in head
    assert "--exclude=node1" in workers and "--address=192.0.2.7:20041" in workers


def test_the_files_call_the_command_with_options_that_it_has() -> None:
    for name in ("slurm.sh", "ray_job.sh"):
        text = (CLUSTER / name).read_text()
        subprocess.run(["bash", "-n", str(CLUSTER / name)], check=True)
        example = next(line for line in text.splitlines() if f"examples/cluster/{name} " in line)
        study_parser().parse_args(shlex.split(example.partition(f"{name} ")[2]))


def test_the_manifest_is_a_ray_job_whose_pods_share_the_output() -> None:
    job: dict[str, Any] = yaml.safe_load((CLUSTER / "kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    known = {"entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "rayClusterSpec"}
    assert set(job["spec"]) == known and set(job["spec"]["rayClusterSpec"]) == {"headGroupSpec", "workerGroupSpecs"}
    program, command, *options = shlex.split(job["spec"]["entrypoint"])
    assert (program, command) == ("ssl-studies", "run")
    output = study_parser().parse_args(options).output
    head, workers = job["spec"]["rayClusterSpec"]["headGroupSpec"], job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    for group in (head, *workers):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        (mount,) = container["volumeMounts"]
        assert output.is_relative_to(mount["mountPath"]) and mount["name"] == pod["volumes"][0]["name"]
        assert pod["terminationGracePeriodSeconds"] > 30, "time for a clean end"
        assert isinstance(group["rayStartParams"], dict)
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert all(group["minReplicas"] <= group["replicas"] <= group["maxReplicas"] for group in workers)
