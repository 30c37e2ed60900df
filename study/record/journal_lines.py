"""The lines of a journal as events; which events there are is said in ``study.record.journal``."""

import io
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from study.record.journal_chain import is_sound

Event = dict[str, Any]
REQUIRED: dict[str, dict[str, type]] = {
    "created": {"study": str, "spec": dict, "environment": dict},
    "resumed": {"environment": dict},
    "proposed": {"uid": str, "number": int, "params": dict, "config": dict},
    "launched": {"uid": str, "attempt": int},
    "reported": {"uid": str, "metrics": dict},
    "decided": {"uid": str, "milestone": int, "decision": str, "reason": str},
    "paused": {"uid": str},
    "promoted": {"uid": str, "milestone": int, "reason": str},
    "retried": {"uid": str, "reason": str},
    "restarted": {"uid": str, "reason": str},
    "reopened": {"uid": str, "reason": str},
    "finished": {"uid": str, "state": str},
    "interrupted": {"reason": str},
    "ended": {},
}
OPTIONAL: dict[str, type] = {"spec": dict, "metrics": dict, "reason": str, "purpose": str, "sampler_attrs": dict}
KINDS = {kind: OPTIONAL | required for kind, required in REQUIRED.items()}
CHANGED = "changed after it was written, or a line before it is missing"


class JournalLines:
    """The events in the lines of a journal, in a single pass; the one reader of its format.

    Args:
        lines: with their ends, such as a file opened for reading bytes.
        last: the line before them, without its end.

    Attributes:
        problems: one line for each line that is not an event.
        whole: bytes up to the end of the last complete line; beyond it, a kill has cut the last line.
        is_cut: whether there is such a line.
        last: the last complete line, without its end.
    """

    def __init__(self, lines: Iterable[bytes], last: bytes = b"") -> None:
        self._lines = lines
        self.problems: list[str] = []
        self.whole, self.is_cut, self.last = 0, False, last

    def __iter__(self) -> Iterator[Event]:
        for number, line in enumerate(self._lines, start=1):
            if not line.endswith(b"\n"):
                self.is_cut = True
                return
            body = line[:-1]
            event = as_event(body) if is_sound(body, self.last) else CHANGED
            self.last, self.whole = body, self.whole + len(line)
            if isinstance(event, str):
                self.problems.append(f"line {number}: {event}")
            else:
                yield event


@dataclass(frozen=True)
class ParsedJournal:
    """The text of a journal, read line by line.

    Args:
        events: those of the good lines.
        problems: one line for each line that is not an event.
        whole: bytes up to the end of the last complete line; beyond it, a kill has cut the last line.
        is_cut: whether there is such a line.
    """

    events: list[Event]
    problems: list[str]
    whole: int
    is_cut: bool


def parse_journal(content: bytes) -> ParsedJournal:
    """The events of a journal."""
    read = JournalLines(io.BytesIO(content))
    return ParsedJournal(list(read), read.problems, read.whole, read.is_cut)


def as_event(line: bytes) -> Event | str:
    """The event in a line, or why there is none."""
    try:
        event = json.loads(line.decode())
    except (ValueError, RecursionError):
        return "not JSON; the file was changed or damaged"
    if not isinstance(event, dict) or not isinstance(event.get("event"), str) or not _is_time(event.get("time")):
        return "not an event: it has no 'event' and 'time'"
    event.pop("check", None)
    kind, required = event["event"], REQUIRED.get(event["event"], {})
    if missing := [name for name in required if name not in event]:
        return f"{kind!r} without {missing[0]!r}"
    for name, wanted in KINDS.get(kind, OPTIONAL).items():
        if name in event and not isinstance(event[name], wanted):
            return f"{kind!r} with a {name!r} that is no {wanted.__name__}: {str(event[name])[:50]!r}"
    if kind == "reported" and not isinstance(event["metrics"].get("milestone"), int):
        return "'reported' without 'milestone'"
    return event


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
