"""The figures of fronts as a browser draws them, on a phone and on a desk: nothing overlaps, nothing is cut."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from written_studies import SPEC, StudyWriter

from reports.build import build_report

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WIDTHS = (390, 1440)
WAIT_MS = 60_000
FAR = "t014"
# Each visible text of a figure with what it is and its box, and the boxes of the figure and its plot.
DRAWN = """place => {
  const box = element => { const r = element.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
  const kinds = {title: ".xtitle", label: ".annotation-text", legend: ".legendtext", bar: ".cbaxis text",
    button: ".updatemenu-button", tick: ".xtick text, .ytick text"};
  const texts = Object.entries(kinds).flatMap(([kind, selector]) => [...place.querySelectorAll(selector)]
    .filter(element => element.textContent && element.getBoundingClientRect().width)
    .map(element => ({kind, text: element.textContent, box: box(element)})));
  const legend = place.querySelector(".legend .bg");
  return {texts, figure: box(place), plot: box(place.querySelector(".nsewdrag")), legend: legend && box(legend)};
}"""
MARK = """(place, uid) => [...place.querySelectorAll(".scatterlayer .trace")].flatMap(trace => {
  const uids = trace.__data__[0].trace.customdata || [];
  return uids.indexOf(uid) < 0 ? [] : [trace.querySelectorAll("path.point")[uids.indexOf(uid)].getBoundingClientRect()];
}).map(r => (r.left + r.right) / 2)[0]"""
Box = list[float]


@pytest.fixture(scope="module")
def fronts_dir(chromium: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report in which everything that a front's figure can have is there, and one trial collapsed."""
    study = StudyWriter(tmp_path_factory.mktemp("fronts"), SPEC)
    for step in range(6):
        study.complete(90.0 + step / 2, 60.0 - 3 * step, 0.02 + 0.03 * step**2)
    for step in range(8):
        study.complete(89.0 + step / 4, 45.0 + step / 2, 0.05 + 0.02 * step)
    assert study.complete(10.0, 50.0, 0.2) == FAR
    study.complete(95.0, 62.0, 0.01, validity=["gradients may be masked"])
    study.complete(93.0, 60.0, 0.05, {"num_views": 4}, seed=0)
    study.finish(study.start(seed=1, num_views=4), "failed", reason="diverged")
    for seed in range(5):
        study.complete(94.0 + seed / 5, 55.0, 0.3, {"num_views": 8}, seed=seed)
        study.complete(92.0 + seed / 5, 56.0, 0.2, {"num_views": 16}, seed=seed)
        study.complete(91.0 + seed / 5, 55.5, 0.2, {"num_views": 32}, seed=seed)
        study.complete(90.0 + seed / 5, 55.0, 0.2, {"num_views": 64}, seed=seed)
    study.journal.write("ended")
    study.journal.close()
    build_report(study.study_dir)
    return study.study_dir


@pytest.fixture(scope="module", params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Any, fronts_dir: Path) -> Iterator[Any]:
    """The report at a width, opened once; the last tests change what it shows. Its console must stay empty."""
    page = browser.new_page(viewport={"width": request.param, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((fronts_dir / "report" / "index.html").as_uri())
    yield page
    page.close()
    assert said == []


def figures(page: Any) -> list[Any]:
    """The figures of fronts, their growth and their attainment, drawn."""
    titles = "Clean accuracy against|What it costs|What a share of|What the search"
    places = page.locator(f"section:has(h2:text-matches('^({titles})'))").locator(".plotly-graph-div").all()
    for place in places:
        place.scroll_into_view_if_needed()
        place.locator(".main-svg").first.wait_for(timeout=WAIT_MS)
    page.wait_for_function("place => document.fonts.ready.then(() => true)")
    return places


def overlaps(one: Box, other: Box) -> bool:
    return one[0] < other[2] - 1 and other[0] < one[2] - 1 and one[1] < other[3] - 1 and other[1] < one[3] - 1


def problems(drawn: dict[str, Any]) -> list[str]:
    """Texts of a figure that are cut off or lie on one another."""
    texts, (left, top, right, bottom) = drawn["texts"], drawn["figure"]
    found = [
        f"cut: {text['text']}"
        for text in texts
        if text["box"][0] < left or text["box"][1] < top or text["box"][2] > right or text["box"][3] > bottom
    ]
    if drawn["legend"]:
        rows = [text for text in texts if text["kind"] == "legend"]
        found += [f"outside the legend: {row['text']}" for row in rows if row["box"][3] > drawn["legend"][3] + 1]
    return found + [
        f"{one['text']} on {other['text']}"
        for one, other in itertools.combinations(texts, 2)
        if overlaps(one["box"], other["box"])
    ]


def test_the_collapsed_trial_is_at_the_edge_of_the_plot(page: Any) -> None:
    place = figures(page)[0]
    left, _, right, _ = place.evaluate(DRAWN)["plot"]
    assert 0 < place.evaluate(MARK, FAR) - left < 0.04 * (right - left)
    texts = [text["text"] for text in place.evaluate(DRAWN)["texts"]]
    assert "10" in texts and "beyond the axes: 1" in texts


def test_the_front_is_no_box_and_fits_the_window(page: Any) -> None:
    frame = page.locator("div:has(> #front)")
    assert frame.evaluate("frame => frame.scrollHeight - frame.clientHeight") == 0
    assert frame.evaluate("frame => frame.scrollWidth - frame.clientWidth") == 0
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_no_text_of_a_figure_is_cut_or_lies_on_another(page: Any) -> None:
    places = figures(page)
    assert len(places) == 6
    drawn = [place.evaluate(DRAWN) for place in places]
    kinds = {text["kind"] for text in drawn[0]["texts"]}
    assert kinds == {"title", "label", "legend", "bar", "button", "tick"}
    assert [problems(one) for one in drawn] == [[]] * len(places)
    for place in places[:3]:
        place.scroll_into_view_if_needed()
        place.locator(".updatemenu-button").nth(1).click()
        place.locator(".xtitle, .annotation-text").get_by_text("test ").first.wait_for(timeout=WAIT_MS)
        assert problems(place.evaluate(DRAWN)) == []


def test_unselected_configurations_fade_and_selected_ones_stay(page: Any) -> None:
    place = figures(page)[0]
    place.evaluate("""place => Plotly.restyle(place, {selectedpoints: place.data.map(trace =>
      trace.customdata ? trace.customdata.flatMap((uid, index) => uid === "t000" ? [index] : []) : null)})""")
    opacities = place.evaluate("""place => [...place.querySelectorAll(".scatterlayer .trace")].flatMap(trace =>
      (trace.__data__[0].trace.customdata || []).map((uid, index) =>
        [uid, Number(getComputedStyle(trace.querySelectorAll("path.point")[index]).opacity)]))""")
    assert len(opacities) > 10 and {uid for uid, opacity in opacities if opacity == 1} == {"t000"}
    assert all(opacity < 0.3 for uid, opacity in opacities if uid != "t000")
