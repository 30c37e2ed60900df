"""Where the time of a study went, from a journal whose answer is known."""

from benchmarks.trial import read_shares
from study.record.journal import replay


def test_shares_of_a_study_of_three_trials_at_two_places() -> None:
    """Ten seconds to start; places are busy from 10 to 30 and from 10 to 24; three seconds for the report."""
    events = [{"event": "created", "time": 5.0, "study": "s", "spec": {}, "environment": {"concurrency": 2}}]
    for uid, launched, ended, busy in (("t0", 10.0, 20.0, 8.0), ("t1", 10.0, 24.0, 12.0), ("t2", 20.0, 30.0, 9.0)):
        proposed = {"number": int(uid[1]), "params": {"a": uid}, "config": {}}
        metrics = {"worker_seconds": busy}
        state = "stopped" if uid == "t1" else "complete"
        events += [
            {"event": "proposed", "uid": uid, "time": launched} | proposed,
            {"event": "launched", "uid": uid, "time": launched, "attempt": 1},
            {"event": "reported", "uid": uid, "time": ended, "metrics": metrics},
            {"event": "finished", "uid": uid, "time": ended, "state": state}
            | {"metrics": metrics if state == "complete" else {}},
        ]
    shares = read_shares(replay(events), began=0.0, ended=33.0)
    assert (shares.until_first_launch, shares.after_last_end, shares.places) == (10.0, 3.0, 2)
    assert (shares.busy, shares.workers_start, shares.idle_at_end, shares.num_trials) == (29.0, 4.0, 6.0, 3)
    *_, last = shares.describe()
    assert last == f"Outside of trials: {100 * 37 / 66:.1f}%; {(40 - 29 - 4 - 6) / 1:.2f} s between two trials."
