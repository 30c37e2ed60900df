"""How often a report is built."""

import pytest

from study.display.pace import pause_seconds


@pytest.mark.parametrize(("build_seconds", "pause"), [(0.5, 60), (3.0, 60), (3.5, 70), (25.0, 500)])
def test_the_pause_is_a_minute_or_twenty_times_the_build(build_seconds: float, pause: float) -> None:
    assert pause_seconds(build_seconds) == pause
