"""The command that runs a trial's configuration again."""

from typing import Any

from pydantic import ValidationError

from trainables.trial_config import TrialConfig, command_line


def rerun_command(config: dict[str, Any]) -> str | None:
    """The shell command that runs a trial's configuration again; None if this version does not accept it."""
    try:
        return command_line(TrialConfig(**config))
    except ValidationError:
        return None
