"""The command that runs a trial's configuration again."""

from pydantic import ValidationError

from study.record.trials import TrialTable


def rerun_command(table: TrialTable, uid: str) -> str | None:
    """The shell command that runs a trial's configuration again; None if there is none, or the config is too old."""
    if table.trainable is None:
        return None
    try:
        return table.trainable.command(table.trainable.recorded(table.study.trials[uid].config))
    except ValidationError:
        return None
