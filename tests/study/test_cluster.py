"""A study on a Ray cluster of three nodes, one of which is lost on the way. The nodes are processes on this machine."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from command_run import CommandRun
from ray.cluster_utils import Cluster

from study.record.journal import JOURNAL_NAME, TrialRecord, read_study

SPACE = """
from optuna.distributions import CategoricalDistribution

from study.spec import Factor, Grid, StudySpec
from trainables.trial_config import TrialConfig

STUDY = StudySpec(
    name="spread",
    question="Does a study survive the loss of a node?",
    base=TrialConfig(
        dataset="digits", image_size=8, train_images=200, encoder="resnet_narrow", projector_hidden_dim=32,
        projector_dim=16, batch_size=50, adversary="none", probe="central", probe_epochs=1, eval_samples=40,
        eval_pgd_steps=2, eval_radii_255=(8.0,), epochs=20,
    ),
    factors=(Factor(name="num_views", distribution=CategoricalDistribution([4, 5, 6, 7])),),
    design=Grid(),
)
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head without CPUs, so that trials run on the other nodes, and two nodes with one CPU each."""
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        nodes.add_node(num_cpus=1)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def running(study_dir: Path) -> list[TrialRecord]:
    return read_study(study_dir).with_state("running") if (study_dir / JOURNAL_NAME).exists() else []


@pytest.mark.slow
def test_the_trials_of_a_lost_node_go_on_elsewhere(cluster: Cluster, tmp_path: Path) -> None:
    space = tmp_path / "spread.py"
    space.write_text(SPACE)
    study_dir = tmp_path / "runs" / "spread"
    run = CommandRun(space, tmp_path / "runs", "--address", cluster.address)
    try:
        run.wait_until(lambda: len(running(study_dir)) == 2)  # one trial a node
        launched = running(study_dir)
        lost = max(cluster.worker_nodes, key=lambda node: node.node_id)
        cluster.remove_node(lost, allow_graceful=False)
        lost_at = time.time()
        assert run.wait() == 0, run.log
    finally:
        run.kill()
    record = read_study(study_dir)
    assert record.ended
    assert [trial.state for trial in record.trials.values()] == ["complete"] * 4
    began_before = [t for t in launched if (record.trials[t.uid].ended_at or 0) > lost_at]
    assert began_before, "a trial was on its way when the node was lost"
    events = [json.loads(line) for line in (study_dir / JOURNAL_NAME).read_text().splitlines()]
    assert [event["event"] for event in events].count("resumed") == 0, "the driver never stopped"
    first, second, *_ = [event["time"] for event in events if event["event"] == "launched"]
    assert second - first < 1.0, "both places are filled at once, not one when the worker of the other has come up"
    environment = record.environments[0]
    assert environment["concurrency"] == 2
