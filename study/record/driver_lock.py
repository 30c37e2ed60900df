"""Whether a study is being run: the driver holds a lock on the journal for as long as it lives."""

import fcntl
from pathlib import Path

from study.record.journal import JOURNAL_NAME


def has_driver(study_dir: Path) -> bool:
    """Whether a process has the journal of ``study_dir`` open for writing. Changes nothing.

    Tries a shared lock and releases it at once; a driver that starts at that very instant would be refused.
    """
    with (study_dir / JOURNAL_NAME).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
