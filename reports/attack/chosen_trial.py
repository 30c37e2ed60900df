"""Which trial to attack, and where its page goes; nothing here imports torch."""

from dataclasses import dataclass
from pathlib import Path

from reports.build import REPORT_FOLDER
from study.record.journal import JOURNAL_NAME, StudyRecord, read_study
from study.record.trial_folder import trial_folder


@dataclass(frozen=True)
class ChosenTrial:
    """The trial to attack; ``study_dir`` is None for a trial without a study."""

    folder: Path
    uid: str
    study_dir: Path | None

    @property
    def page_path(self) -> Path:
        """Where the trial's page is written."""
        return self.folder / "attack.html" if self.study_dir is None else attack_page_path(self.study_dir, self.uid)

    @property
    def name(self) -> str:
        """What to call it."""
        return self.uid if self.study_dir is None else f"{self.study_dir.resolve().name}, trial {self.uid}"


def attack_page_path(study_dir: Path, uid: str) -> Path:
    """Where the attack page of a trial of a study is written."""
    return study_dir / REPORT_FOLDER / f"attack_{uid}.html"


def choose_trial(folder: Path, uid: str | None) -> ChosenTrial:
    """The trial ``uid`` of the study in ``folder``; for ``uid`` None, the trial whose own folder is ``folder``.

    Raises:
        ValueError: if there is no such trial, or it is not complete.
    """
    study_dir = folder
    if not _is_study(folder):
        if uid is not None:
            raise ValueError(f"no study in {folder}, so it has no trial {uid}")
        if not folder.is_dir():
            raise ValueError(f"no folder {folder}")
        uid, study_dir = folder.resolve().name, folder.resolve().parent.parent
        if not _is_study(study_dir):
            return ChosenTrial(folder, uid, None)
    record = read_study(study_dir)
    if uid is None:
        raise ValueError(f"{folder} is a study: name one of its complete trials: {_complete(record)}")
    if uid not in record.trials:
        raise ValueError(f"{study_dir} has no trial {uid}; complete are {_complete(record)}")
    state = record.trials[uid].state
    if state != "complete":
        raise ValueError(f"trial {uid} is {state}, not complete; complete are {_complete(record)}")
    return ChosenTrial(trial_folder(study_dir, uid), uid, study_dir)


def _is_study(folder: Path) -> bool:
    return (folder / JOURNAL_NAME).is_file()


def _complete(record: StudyRecord) -> str:
    return ", ".join(trial.uid for trial in record.with_state("complete")) or "none yet"
