"""What a page says of the trials that it does not show (``TrialTable.shown``)."""

from study.record.trials import TrialTable


def sampling_note(table: TrialTable) -> str:
    """For the top of the page of ``table``; '' if it shows everything."""
    shown, total = len(table.shown.frame), len(table.frame)
    if shown == total:
        return ""
    return (
        f"Charts and lists show {shown:,} of {total:,} trials: the front, what is under way, and others drawn evenly "
        "by a hash of their factor values. Numbers in the text, effects and growth are of all trials."
    )


def share_shown(shown: TrialTable) -> str:
    """For a caption, how many configurations with results a chart of ``shown`` has; '' if all."""
    if shown.sampled_from is None:
        return ""
    return f" Drawn: {len(shown.configurations):,} of {len(shown.sampled_from.configurations):,} configurations."
