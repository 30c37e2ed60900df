"""Ablation, effects, the paper's table and a comparison in a browser: nothing overlaps or is cut, all is legible."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ablation_study import ablation_spec, run
from written_studies import SPEC, StudyWriter, results

from reports.build import build_report
from reports.compare.__main__ import main
from reports.paper.paper_rows import rows_of, space_of
from study.record.journal import Journal

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WAIT_MS = 60_000
SMALLEST_PX = 12
# Each visible text of a figure with its box and the size of its letters, and the box of the figure.
DRAWN = """place => {
  const box = element => { const r = element.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
  const kinds = ".xtitle, .ytitle, .gtitle, .annotation-text, .legendtext, .xtick text, .ytick text";
  const texts = [...place.querySelectorAll(kinds)]
    .filter(element => element.textContent && element.getBoundingClientRect().width)
    .map(element => ({text: element.textContent, box: box(element),
      size: parseFloat(getComputedStyle(element).fontSize)}));
  return {texts, figure: box(place)};
}"""
# What reaches out of its own section or table to the right, and small letters, among the texts of a section.
CUT = """section => [...section.querySelectorAll("p, h2, h3, summary, td, th, a")]
  .filter(element => element.offsetParent && element.textContent.trim())
  .filter(element => getComputedStyle(element.closest("thead") ?? element).clipPath === "none")  // for ears alone
  .filter(element => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1
    || parseFloat(getComputedStyle(element).fontSize) < 12)
  .map(element => element.textContent)"""
Box = list[float]


@pytest.fixture(scope="module")
def pages(chromium: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Section -> a page that has it."""
    folder = tmp_path_factory.mktemp("effects")
    ablation, paper, grid = folder / "ablation", folder / "paper", folder / "grid"
    write_ablation(ablation)
    write_paper(paper)
    write_grid(grid, 0.0)
    write_grid(folder / "other", 5.0)
    for study_dir, asked in ((ablation, []), (paper, ["paper"]), (grid, [])):
        build_report(study_dir, asked=asked)
    compared = folder / "compared.html"
    assert main([str(grid), str(folder / "other"), "--html", str(compared)]) == 0
    report = Path("report", "index.html")
    return {
        "what-makes-the-difference": ablation / report, "beside-the-paper": paper / report,
        "what-mattered": grid / report, "num-views-against-epochs": grid / report,
        "parameter-importance": grid / report, "verdict": compared, "studies": compared, "accuracies": compared,
    }  # fmt: skip


def write_ablation(folder: Path) -> None:
    spec = ablation_spec()
    journal = Journal(folder)
    journal.write("created", study=spec.name, spec=spec.model_dump(mode="json"), environment={})
    run(spec, journal=journal)
    journal.close()


def write_paper(folder: Path) -> None:
    """All rows of Table 4 in miniature, but for the last, which was not run."""
    spec = space_of("table4").with_preset("laptop")
    study = StudyWriter(folder, spec.model_dump(mode="json"))
    for (params, _), seed in itertools.product(rows_of("table4", "laptop")[:-1], range(3)):
        uid = f"t{len(study.journal.record.trials):03d}"
        config = spec.config(params, seed).model_dump(mode="json")
        study.journal.write("proposed", uid=uid, number=int(uid[1:]), params=params, config=config, purpose="search")
        study.journal.write("launched", uid=uid, attempt=1)
        study.finish(uid, "complete", results(70.0 + seed, 30.0, 0.1))
    study.journal.close()


def write_grid(folder: Path, gain: float) -> None:
    """Views, epochs and adversaries crossed, three seeds, with the trials' folders."""
    study = StudyWriter(folder, SPEC | {"factors": [{"name": name} for name in ("num_views", "epochs", "adversary")]})
    for views, epochs, adversary, seed in itertools.product((2, 4, 8), (1, 2, 4), ("none", "free"), range(3)):
        luck = 0.7 * ((views * 7 + epochs * 3 + seed * 5 + len(adversary)) % 4)
        robust = 5.0 + 35 * (adversary == "free") + views + 2 * epochs + luck + gain
        params = {"num_views": views, "epochs": epochs, "adversary": adversary}
        uid = study.complete(70.0 + views + 2 * epochs + luck, robust, 0.01 * views * epochs, params, seed=seed)
        trial = study.journal.record.trials[uid]
        (folder / "trials" / uid).mkdir(parents=True)
        content = json.dumps({"config": trial.config, "metrics": trial.metrics})
        (folder / "trials" / uid / "result.json").write_text(content)
    study.journal.close()


@pytest.fixture(scope="module")
def open_section(browser: Any, pages: dict[str, Path]) -> Iterator[Callable[[str, int], Any]]:
    """Opens each page once at a width and draws a section's figures; the console must stay empty."""
    opened: dict[tuple[Path, int], Any] = {}
    said: list[str] = []

    def open_at(anchor: str, width: int) -> Any:
        key = pages[anchor], width
        if key not in opened:
            opened[key] = browser.new_page(viewport={"width": width, "height": 900})
            opened[key].on("console", lambda message: said.append(message.text))
            opened[key].on("pageerror", lambda error: said.append(str(error)))
            opened[key].goto(pages[anchor].as_uri())
        section = opened[key].locator(f"section#{anchor}")
        for place in section.locator(".plotly-graph-div").all():
            place.scroll_into_view_if_needed()
            place.locator(".main-svg").first.wait_for(timeout=WAIT_MS)
        return section

    yield open_at
    for page in opened.values():
        page.close()
    assert said == []


def overlaps(one: Box, other: Box) -> bool:
    across = min(one[2], other[2]) - max(one[0], other[0])
    up = min(one[3], other[3]) - max(one[1], other[1])
    return across > 1 and up > 1


SECTIONS = {
    "what-makes-the-difference": 5, "beside-the-paper": 2, "what-mattered": 2, "num-views-against-epochs": 2,
    "parameter-importance": 2, "verdict": 0, "studies": 2, "accuracies": 1,
}  # fmt: skip


# On a phone, where it is tightest; on a desk too, where figures stand beside each other.
@pytest.mark.parametrize(
    ("anchor", "width"), [*((anchor, 390) for anchor in SECTIONS), ("what-makes-the-difference", 1440)]
)
def test_nothing_overlaps_or_is_cut_and_all_is_legible(open_section: Any, anchor: str, width: int) -> None:
    section = open_section(anchor, width)
    places = section.locator(".plotly-graph-div").all()
    assert len(places) == SECTIONS[anchor]
    for place in places:
        drawn = place.evaluate(DRAWN)
        left, top, right, bottom = drawn["figure"]
        assert drawn["texts"]
        for text in drawn["texts"]:
            box = text["box"]
            assert left - 1 <= box[0] and top - 1 <= box[1] and box[2] <= right + 1 and box[3] <= bottom + 1, text
            assert text["size"] >= SMALLEST_PX, text
        for one, other in itertools.combinations(drawn["texts"], 2):
            assert not overlaps(one["box"], other["box"]), (one["text"], other["text"])
    assert section.evaluate(CUT) == []


def test_an_ablation_is_told_before_all_else(open_section: Any) -> None:
    page = open_section("what-makes-the-difference", 1440).page
    assert page.locator("section").first.get_attribute("id") == "what-makes-the-difference"


def test_lines_of_equal_cost_meet_their_marks_in_the_middle(open_section: Any) -> None:
    place = open_section("num-views-against-epochs", 1440).locator(".plotly-graph-div").first
    off = place.evaluate("""place => {
      const middle = r => [(r.left + r.right) / 2, (r.top + r.bottom) / 2];
      const traces = [...place.querySelectorAll(".scatterlayer .trace")];
      const points = traces.flatMap(t => [...t.querySelectorAll("path.point")]);
      const marks = points.map(p => middle(p.getBoundingClientRect()));
      const ends = traces.flatMap(t => [...t.querySelectorAll("path.js-line")]).flatMap(p => {
        const matrix = p.getScreenCTM(), length = p.getTotalLength();
        return [0, length].map(at => p.getPointAtLength(at).matrixTransform(matrix)).map(q => [q.x, q.y]);
      });
      return ends.map(end => Math.min(...marks.map(mark => Math.hypot(mark[0] - end[0], mark[1] - end[1]))));
    }""")
    assert len(off) >= 12 and max(off) < 0.5  # of a pixel
