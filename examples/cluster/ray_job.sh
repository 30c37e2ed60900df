#!/bin/bash
# A study as a job of a Ray cluster that runs already; --output must be a folder that all its nodes share:
#
#     RAY_ADDRESS=http://HEAD:8265 examples/cluster/ray_job.sh --space crops_vs_epochs --output /shared/runs
#
# `ray job stop` sends SIGTERM; submitted again, the study resumes.
exec ray job submit --no-wait \
    --runtime-env-json '{"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "30"}}' \
    -- ssl-studies run --address auto "$@"
