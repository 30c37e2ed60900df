"""The report as a browser shows it: complete, drawn, alone, and quick where it is long."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.page.recipe import recipe_text
from study.record.journal import StudyRecord, read_study
from study.record.trials import tabulate

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SECTIONS = ("Clean accuracy against robust accuracy, PGD-2 (cross-entropy and margin) at 8/255", "What it costs",
            "The front", "All trials", "How to read this", "About this study", "Not enough evidence yet")  # fmt: skip
FRONTS = re.compile("Clean accuracy against robust accuracy|What it costs")
MAX_REPORT_BYTES = 15e6
MAX_FIRST_FIGURE_SECONDS = 10.0  # under 3 on an idle machine; those that run tests are slower and busy
WAIT_MS = 60_000
# Marks of configurations that are really drawn in a figure; lines and rings are other traces.
NUM_MARKS = """place => [...place.querySelectorAll(".scatterlayer .trace")]
  .filter(trace => trace.__data__[0].trace.customdata)
  .reduce((count, trace) => count + trace.querySelectorAll("path.point").length, 0)"""
Open = Callable[[Path], Any]


@pytest.fixture
def open_report(browser: Any) -> Iterator[Open]:
    """Opens a study's report; at the end of the test nothing may have gone wrong or been asked of a network."""
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if not _is_local(request.url) else None)

    def open_page(study_dir: Path) -> Any:
        page.goto((study_dir / "report" / "index.html").as_uri(), wait_until="commit")
        return page

    yield open_page
    page.close()
    assert problems == []


def _is_local(address: str) -> bool:
    return address.startswith(("data:", "blob:")) or (address.startswith("file:") and address.endswith("/index.html"))


def section(page: Any, title: str) -> Any:
    return page.locator("section").filter(has=page.get_by_role("heading", name=title, exact=True))


def draw_fronts(page: Any) -> list[Any]:
    """The figures of two objectives each, drawn."""
    places = page.locator("section").filter(has=page.locator("h2", has_text=FRONTS)).locator(".plotly-graph-div").all()
    for place in places:
        place.scroll_into_view_if_needed()
        place.locator(".main-svg").first.wait_for(timeout=WAIT_MS)
    return places


def num_configurations(record: StudyRecord) -> int:
    return len({trial.configuration for trial in record.with_state("complete")})


def test_all_sections_are_there_and_all_figures_are_drawn(open_report: Open, study_dir: Path) -> None:
    page = open_report(study_dir)
    page.wait_for_load_state()
    titles = page.locator("section > h2").all_inner_texts()
    assert [title for title in titles if title in SECTIONS] == list(SECTIONS)
    for place in page.locator(".plotly-graph-div").all():
        place.scroll_into_view_if_needed()
        place.locator(".main-svg").first.wait_for(timeout=WAIT_MS)
    assert page.locator("#trials tbody tr").count() == len(read_study(study_dir).trials) == 8


def test_the_first_screen_has_the_answer_and_the_top_of_a_chart(open_report: Open, study_dir: Path) -> None:
    page = open_report(study_dir)
    page.set_viewport_size({"width": 1440, "height": 900})
    tops = [page.locator(name).first.bounding_box()["y"] for name in (".question", ".answer", ".card", ".figure")]
    assert tops == sorted(tops) and tops[-1] < 850
    page.set_viewport_size({"width": 390, "height": 844})
    left = {round(card.bounding_box()["x"]) for card in page.locator(".card").all()}
    assert len(left) == 1, "cards are stacked"
    page.wait_for_function("document.documentElement.scrollWidth <= 390", timeout=WAIT_MS)  # once charts have shrunk
    page.locator('.contents a[href="#all-trials"]').click()
    assert page.evaluate("location.hash") == "#all-trials"


def test_each_front_has_a_mark_for_each_configuration(open_report: Open, study_dir: Path) -> None:
    expected = num_configurations(read_study(study_dir))
    assert expected == 4
    page = open_report(study_dir)
    page.wait_for_load_state()
    assert [place.evaluate(NUM_MARKS) for place in draw_fronts(page)] == [expected] * 3


def test_pointing_at_a_mark_shows_its_config(open_report: Open, study_dir: Path) -> None:
    page = open_report(study_dir)
    page.wait_for_load_state()
    place = draw_fronts(page)[0]
    place.scroll_into_view_if_needed()
    assert page.locator(".hoverlayer .hovertext").count() == 0
    box = place.locator(".scatterlayer .trace path.point").last.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    label = place.locator(".hoverlayer .hovertext")
    label.wait_for(timeout=WAIT_MS)
    text = label.text_content()
    (uid,) = re.findall(r"t\d{4}", text)
    assert recipe_text(tabulate(read_study(study_dir)), uid)[:50] in text


def test_a_thousand_trials_make_a_page_that_is_small_and_soon_there(open_report: Open, many_dir: Path) -> None:
    record = read_study(many_dir)
    assert len(record.trials) == 1000
    assert (many_dir / "report" / "index.html").stat().st_size < MAX_REPORT_BYTES
    began = time.monotonic()
    page = open_report(many_dir)
    page.locator(".plotly-graph-div").first.locator("path.point").first.wait_for(state="attached", timeout=WAIT_MS)
    assert time.monotonic() - began < MAX_FIRST_FIGURE_SECONDS
    page.wait_for_load_state()
    assert [place.evaluate(NUM_MARKS) for place in draw_fronts(page)] == [num_configurations(record)] * 3
