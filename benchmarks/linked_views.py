"""How quickly a report answers in a browser: its size, its opening, and a selection on the page.

    python -m benchmarks.constructed_study /tmp/many --trials 1000 --seeds 1
    python -m reports.build /tmp/many && python -m benchmarks.linked_views /tmp/many/report/index.html

Opening is from the navigation to the first painted mark, and to the end of loading. An interaction is from the time
stamp of the click or key to the end of the frame in which the page shows what it did (``requestAnimationFrame`` and a
task after it), with all charts of the page drawn; the median and the longest of some. Needs playwright and Chromium.
"""

import argparse
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NUM_CLICKS = 9
WAIT_MS = 60_000
# The time from each click or change to the frame that shows it, in ms, in ``window.answers``.
WATCH = """() => {
  window.answers = [];
  const channel = new MessageChannel(), ends = [];
  channel.port1.onmessage = () => window.answers.push(performance.now() - ends.shift());
  for (const kind of ["click", "change"]) addEventListener(kind, (event) => {
    const began = event.timeStamp;
    requestAnimationFrame(() => { ends.push(began); channel.port2.postMessage(null); });
  }, {capture: true});
}"""
PAINTED = "() => new Promise(done => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"
# Where a mark in the middle of what a chart shows is on the screen.
MARK = """([chart, number]) => {
  const marks = [...chart.querySelectorAll("path.point")];
  const box = marks[(number * 97) % marks.length].getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
}"""


@dataclass(frozen=True)
class Answer:
    """Milliseconds of one kind of interaction."""

    name: str
    times: list[float]

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.times)


def opening_ms(page: Any, path: Path) -> tuple[float, float]:
    """From the navigation to the first painted mark of a chart, and to the end of loading."""
    page.goto(path.resolve().as_uri(), wait_until="commit")
    page.locator(".plotly-graph-div path.point").first.wait_for(state="attached", timeout=WAIT_MS)
    first = page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"
    )
    page.wait_for_load_state()
    return first, page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")


def answers(page: Any) -> list[Answer]:
    """Clicks on marks, on rows and on a filter of an open page, whose charts are all drawn first."""
    for place in page.locator(".plotly-graph-div").all():
        place.scroll_into_view_if_needed()
        place.locator(".main-svg").first.wait_for(timeout=WAIT_MS)
    page.evaluate(WATCH)
    found = [Answer("click on a mark of the explorer", _of(page, _click_marks, page.locator("#explorer")))]
    lines = page.locator("#parallel-coordinates .plotly-graph-div")
    rows = page.locator("#trials tbody tr")
    if lines.count():
        lines.scroll_into_view_if_needed()
        found.append(Answer("select, at parallel coordinates", _of(page, _choose_rows, None)))
    rows.first.scroll_into_view_if_needed()
    found.append(Answer("click on a row of all trials", _of(page, _click_rows, rows)))
    found.append(Answer("filter by a level", _of(page, _filter, None)))
    return found


def _of(page: Any, act: Any, target: Any) -> list[float]:
    page.evaluate("window.answers.length = 0")
    act(page, target)
    return list(page.evaluate("window.answers"))


def _click_marks(page: Any, chart: Any) -> None:
    chart.scroll_into_view_if_needed()
    for number in range(NUM_CLICKS):
        page.mouse.click(*page.evaluate(MARK, [chart.element_handle(), number]))
        page.wait_for_timeout(400)
        page.keyboard.press("Escape")
        page.wait_for_timeout(200)


def _choose_rows(page: Any, _: Any) -> None:
    for number in range(NUM_CLICKS):
        page.evaluate("number => document.querySelectorAll('#trials tbody tr')[number].click()", number)
        page.wait_for_timeout(400)


def _click_rows(page: Any, rows: Any) -> None:
    for number in range(NUM_CLICKS):
        rows.nth(number).locator("td").first.click()
        page.wait_for_timeout(400)
        page.keyboard.press("Escape")
        page.wait_for_timeout(200)


def _filter(page: Any, _: Any) -> None:
    page.locator("#bar summary").click()
    page.evaluate("window.answers.length = 0")
    for _number in range(NUM_CLICKS):
        page.locator("#filters input[type=checkbox]").last.click()
        page.wait_for_timeout(400)


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("page", type=Path)
    path = parser.parse_args().page
    sys.path.append(str(Path(__file__).resolve().parents[1] / "docs"))
    from gallery import open_browser  # type: ignore[import-not-found]

    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        first, loaded = opening_ms(page, path)
        print(
            f"size {path.stat().st_size / 1e6:.1f} MB; first marks after {first:.0f} ms, loaded after {loaded:.0f} ms"
        )
        for answer in answers(page):
            print(f"{answer.name}: median {answer.median:.0f} ms, longest {max(answer.times):.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
