"""How a study survives seeded SIGKILLs of its driver, its workers, Ray's raylet and Ray's global store (GCS).

    python -m benchmarks.kills --kills 100 --seed 0 --output /tmp/kills
    python -m benchmarks.kills --kills 20 --spot-nodes --output /tmp/spot

Each kill hits a study at work, at a random moment; then the same command goes on. After each kill the journal is
compared with that before it, and at the end everything recorded with the journal. Results are appended to
``kills.jsonl`` in ``--output``, and the same command goes on with what is missing. Exit code: 0 if nothing was lost,
repeated or changed and, once the study has been interrupted at the end, no process, temporary file or shared memory of
it is left. A kill of a worker takes seconds, any other one a start of Ray. With
``--spot-nodes`` the study runs on a cluster of three nodes, processes of this machine, of which one is killed every
30 s, and another one joins.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from ray.cluster_utils import Cluster

from study.record.journal import FINISHED, JOURNAL_NAME, replay
from study.record.journal_lines import parse_journal
from study.verify import verify

KINDS = {
    "driver": "-m study.run",
    "worker": "ray::StudyTrial",
    "raylet": "/raylet/raylet ",
    "GCS": "/gcs/gcs_server ",
    "everything": "",
}
MARK = "KILLS_STUDY_RUN"  # an environment variable that all processes of a study inherit
WAIT_SECONDS = 600.0
NODE_SECONDS = 30.0
SPACE = """
import time
from pydantic import BaseModel
from optuna.distributions import CategoricalDistribution, FloatDistribution
from study.spec import Factor, MoAsha, Search, StudySpec
from study.trainable import Metric, as_trainable

class Config(BaseModel, frozen=True):
    rate: float = 0.5
    width: int = 4
    seed: int = 0

@as_trainable(
    config=Config, metrics=[Metric("score"), Metric("cost", "minimize", kind="cost")], progress="epochs",
    total=lambda config: 8,
)
def fit(config, context):
    path = context.checkpoint_path
    for epoch in range(int(path.read_text()) if path.is_file() else 1, 9):
        time.sleep(0.2)
        path.with_suffix(".new").write_text(str(epoch))
        path.with_suffix(".new").replace(path)
        yield {"epochs": epoch, "score": epoch * (1 - (config.rate - 0.3) ** 2), "cost": float(config.width)}

STUDY = StudySpec(
    name="killed", question="Does anything get lost?", base=Config(), objectives=("score", "cost"),
    factors=(
        Factor(name="rate", distribution=FloatDistribution(0, 1)),
        Factor(name="width", distribution=CategoricalDistribution([1, 2, 4, 8])),
    ),
    design=Search(trials=5000, sampler="random"), stopping=MoAsha(first_rung=1, eta=2, audit=0.1),
)
"""


def main() -> int:
    """Parses the command line, kills, prints the count; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spot-nodes", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("kills"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    results = options.output / "kills.jsonl"
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    study = SpotStudy(options.output) if options.spot_nodes else KilledStudy(options.output)
    for number in range(len(done), options.kills):
        order = random.Random(f"{options.seed} {number}")
        found = study.strike(order.choice(study.kinds), order)
        done.append(found)
        with results.open("a") as file:
            file.write(json.dumps(found) + "\n")
    left = study.left_behind()
    wrong = [line for check in verify(study.study_dir) for line in check.disagreements]
    counts = Counter(found["kind"] for found in done)
    totals = {name: sum(found[name] for found in done) for name in ("lost", "repeated", "changed")}
    print(f"{len(done)} kills: {', '.join(f'{count} {kind}' for kind, count in sorted(counts.items()))}")
    print(f"{len(study.record().with_state(*FINISHED))} trials have ended; " + json.dumps(totals))
    print("\n".join([*(f"wrong: {line}" for line in wrong), f"{len(wrong)} disagreements with the journal"]))
    print("\n".join([*(f"left: {one}" for one in left), f"{len(left)} processes, files and folders left behind"]))
    return 1 if wrong or left or any(totals.values()) else 0


class KilledStudy:
    """A study in ``folder`` and the process that runs it, if one does."""

    kinds = tuple(KINDS)
    options = ("--concurrency", "2")

    def __init__(self, folder: Path) -> None:
        self.space, self.study_dir = folder.resolve() / "killed.py", folder.resolve() / "runs" / "killed"
        self.space.write_text(SPACE)
        self.process: subprocess.Popen[bytes] | None = None
        self.temporary = folder.resolve() / "t"  # a short name: Ray's sockets are in it
        self.temporary.mkdir(exist_ok=True)
        self.shared_before = _shared_memory()

    def journal(self) -> bytes:
        """Its whole lines."""
        path = self.study_dir / JOURNAL_NAME
        content = path.read_bytes() if path.exists() else b""
        return content[: content.rfind(b"\n") + 1]

    def record(self):  # type: ignore[no-untyped-def]
        """What the journal says."""
        return replay(parse_journal(self.journal()).events)

    def living(self) -> dict[int, str]:
        """Process id and command line of all that the study has started."""
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and f"{MARK}={self.space}".encode() in (folder / "environ").read_bytes():
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if command and int(folder.name) != os.getpid():
                        found[int(folder.name)] = command
            except OSError:  # ended meanwhile
                continue
        return found

    def start(self) -> None:
        """Runs the command, unless it runs."""
        if self.process is not None and self.process.poll() is None:
            return
        command = [sys.executable, "-m", "study.run", "--space", str(self.space), *self.options]
        with (self.space.parent / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--output", str(self.study_dir.parent)],
                env=os.environ | {MARK: str(self.space), "TMPDIR": str(self.temporary)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, kind: str) -> int:
        """How many processes got their SIGKILL."""
        hit = 0
        while victims := [pid for pid, command in self.living().items() if KINDS[kind] in command]:
            for pid in victims:
                try:
                    os.kill(pid, signal.SIGKILL)
                    hit += 1
                except ProcessLookupError:
                    continue
            if kind != "everything":
                break
        return hit

    def left_behind(self) -> list[str]:
        """Runs and interrupts the study once more; what is then still there of it, and new in shared memory."""
        self.start()
        assert self.process is not None
        self.wait_for_events(8)
        self.process.terminate()
        self.process.wait(timeout=WAIT_SECONDS)
        ends_at = time.monotonic() + WAIT_SECONDS
        while self.living() and time.monotonic() < ends_at:  # Ray's agents look for their raylet for a minute
            time.sleep(0.2)
        folders = (self.temporary, self.temporary / "ray")
        found = {path for folder in folders if folder.is_dir() for path in folder.iterdir()}
        found -= {folders[1], folders[1] / "session_latest"}  # Ray's own, and a link to the last
        return [*self.living().values(), *sorted(map(str, found)), *sorted(_shared_memory() - self.shared_before)]

    def wait_for_events(self, number: int) -> None:
        """Until the study has written as many more events; starts it again where a kill has ended it only now."""
        awaited, ends_at = self.journal().count(b"\n") + number, time.monotonic() + WAIT_SECONDS
        while self.journal().count(b"\n") < awaited:
            if self.process is not None and self.process.poll() is not None:
                self.start()
            if time.monotonic() > ends_at:
                raise RuntimeError(f"the study does not go on; see {self.space.parent / 'log.txt'}")
            time.sleep(0.05)

    def strike(self, kind: str, order: random.Random) -> dict[str, object]:
        """Waits until the study has written a few more events, kills, and says what has become of the journal."""
        self.start()
        before = self.journal()
        self.wait_for_events(order.randint(8, 30))
        time.sleep(order.uniform(0, 0.5))
        at = self.journal()
        hit = self.kill(kind)
        if kind != "worker" and self.process is not None:
            self.process.wait(timeout=WAIT_SECONDS)
        if kind in ("raylet", "GCS"):
            self.kill("everything")
        return {"kind": kind, "processes": hit} | _differences(before, at, self.journal())


class SpotStudy(KilledStudy):
    """A study on a cluster of a head without cores and of three nodes with one each, which come and go."""

    kinds = ("node",)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        os.environ[MARK] = str(self.space)  # for the workers of the nodes
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.nodes = [self.cluster.add_node(num_cpus=1) for _ in range(3)]
        self.options = ("--address", self.cluster.address)
        self.struck_at = time.monotonic()

    def strike(self, kind: str, order: random.Random) -> dict[str, object]:
        """Kills a node 30 s after the last one, lets another one join, and waits until the study has gone on."""
        self.start()
        before = self.journal()
        time.sleep(max(0.0, self.struck_at + NODE_SECONDS - time.monotonic()))
        self.struck_at = time.monotonic()
        at = self.journal()
        self.cluster.remove_node(self.nodes.pop(order.randrange(len(self.nodes))), allow_graceful=False)
        self.nodes.append(self.cluster.add_node(num_cpus=1))
        self.wait_for_events(8)
        return {"kind": kind, "processes": 1} | _differences(before, at, self.journal())

    def left_behind(self) -> list[str]:
        """Ends the cluster as well."""
        left = super().left_behind()
        self.cluster.shutdown()
        return left


def _shared_memory() -> set[str]:
    folder = Path("/dev/shm")
    return {str(path) for path in folder.iterdir()} if folder.is_dir() else set()


def _differences(before: bytes, at: bytes, after: bytes) -> dict[str, int]:
    """What the kill, and those before it, have done to finished trials and to decisions."""
    events = parse_journal(after).events
    ended = [event["uid"] for event in events if event["event"] == "finished"]
    earlier = {event["uid"] for event in parse_journal(at).events if event["event"] == "finished"}
    first: dict[str, int] = {}
    repeated = 0
    for place, event in enumerate(events):
        if event["event"] == "finished":
            first.setdefault(event["uid"], place)
        repeated += event.get("uid") in first and place > first[event["uid"]]
    return {
        "events": len(events),
        "ended": len(ended),
        "lost": len(earlier - set(ended)),
        "repeated": repeated,
        "changed": int(not (at.startswith(before) and after.startswith(at))),
    }


if __name__ == "__main__":
    sys.exit(main())
