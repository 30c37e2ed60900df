"""How often the report of a running study is built, and an open page of it looks for a newer one."""

LEAST_PAUSE_SECONDS = 60.0
PAUSE_FACTOR = 20  # keeps the share of time spent on building below a twentieth


def pause_seconds(build_seconds: float) -> float:
    """The pause in seconds between reports of a running study, after one that took ``build_seconds`` to build."""
    return max(LEAST_PAUSE_SECONDS, PAUSE_FACTOR * build_seconds)
