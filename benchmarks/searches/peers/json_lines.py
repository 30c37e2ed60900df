"""The peers' side of the protocol in ``benchmarks/searches/peer_process.py``; needs the standard library alone."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

Place = dict[str, int]


@dataclass(frozen=True)
class Dimension:
    """A factor: integers from 0 to ``size - 1``, places in a grid if ``is_ordered``, else categories."""

    name: str
    size: int
    is_ordered: bool


@dataclass(frozen=True)
class Task:
    """What is to be searched, by which search, from which seed, and how many trials there may be: in all, at a time."""

    search: str
    dimensions: list[Dimension]
    directions: list[str]
    seed: int
    trials: int
    workers: int

    def losses(self, values: list[float]) -> list[float]:
        """The objectives, all to be minimised."""
        return [-v if direction == "maximize" else v for v, direction in zip(values, self.directions, strict=True)]


class Peer(Protocol):
    """A search by another package."""

    version: str

    def ask(self, number: int) -> Place | None:
        """The factors of trial ``number``."""

    def tell(self, number: int, values: list[float]) -> None:
        """The objectives of a trial that has ended, in their own directions."""


def serve(make: Callable[[Task], Peer]) -> None:
    """Answers until the input ends; whatever else the package prints goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    peer: Peer | None = None
    for line in sys.stdin:
        message = json.loads(line)
        if "begin" in message:
            dimensions = [Dimension(**dimension) for dimension in message["begin"].pop("dimensions")]
            peer = make(Task(dimensions=dimensions, **message["begin"]))
            answer: dict[str, Any] = {"version": peer.version}
        else:
            assert peer is not None
            answer = _answer(peer, message)
        answers.write(json.dumps(answer) + "\n")


def _answer(peer: Peer, message: dict[str, Any]) -> dict[str, Any]:
    if "ask" in message:
        place = peer.ask(message["ask"])
        return {"place": None if place is None else {name: int(at) for name, at in place.items()}}
    peer.tell(message["tell"], message["values"])
    return {"told": message["tell"]}
