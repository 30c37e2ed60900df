"""A selection made in any view shows in all, filters and addresses do what they say, and the panel tells everything."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_SECONDS

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
WAIT_MS = 60_000
WIDTHS = (390, 1440)
# The uids that stand out, by id of chart or table: of marks, of points of lines, of rows.
LIT = """() => {
  const found = {};
  const put = (key, uid) => { (found[key] ??= new Set()).add(uid); };
  for (const chart of document.querySelectorAll(".js-plotly-plot")) if (chart.isLinked) {
    const section = chart.closest("section").id;
    for (const group of chart.querySelectorAll(".scatterlayer .trace")) {
      const trace = group.__data__[0].trace;
      if (!Array.isArray(trace.customdata)) continue;
      for (const mark of group.querySelectorAll("path.point:not(.unlit)"))
        put(section, trace.customdata[mark.__data__.i]);
    }
  }
  for (const row of document.querySelectorAll("#trials tr.selected")) put("trials", row.dataset.uid);
  return Object.fromEntries(Object.entries(found).map(([key, uids]) => [key, [...uids].sort()]));
}"""
LIT_LINES = "() => document.querySelectorAll('#parallel-coordinates .overlays path').length"
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def linked_page(chromium: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a made-up study of 60 trials."""
    folder = tmp_path_factory.mktemp("linked")
    writer = str(ROOT / "benchmarks" / "constructed_study.py")
    for command in ([writer, str(folder), "--trials", "60", "--seeds", "1"], ["-m", "reports.build", str(folder)]):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True, timeout=PATIENCE_SECONDS)
    return folder / "report" / "index.html"


@pytest.fixture
def open_at(request: pytest.FixtureRequest, browser: Any, linked_page: Path) -> Iterator[Open]:
    """Opens the page at a fragment, with all linked charts drawn; nothing may go wrong in it."""
    page = browser.new_page(viewport={"width": getattr(request, "param", WIDTHS[-1]), "height": 900})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))

    def open_page(fragment: str = "") -> Any:
        page.goto("about:blank")
        page.goto(linked_page.as_uri() + fragment)
        for place in ("#explorer", "#parallel-coordinates .plotly-graph-div"):
            page.locator(place).scroll_into_view_if_needed()
            page.locator(f"{place} .main-svg").first.wait_for(timeout=WAIT_MS)
        page.wait_for_function("document.querySelector('#explorer').isLinked")
        return page

    yield open_page
    page.close()
    assert problems == []


def settle(page: Any) -> None:
    """Until all views show the selection."""
    page.wait_for_function("stale.length === 0")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(() => setTimeout(done, 100))))")


def all_show(page: Any, uids: list[str]) -> bool:
    """Whether exactly the rows of ``uids`` are selected, and no linked mark but theirs stands out."""
    settle(page)
    lit = page.evaluate(LIT)
    rows, explorer = lit.pop("trials", []), lit.pop("explore-all-trials", [])
    return rows == explorer == uids and all(set(others) <= set(uids) for others in lit.values())


def everything(page: Any) -> list[Any]:
    """What stands out, the axes, and what the bar says."""
    return [page.evaluate(LIT), page.evaluate("choices"), page.locator("#chosen").inner_text()]


def complete(page: Any, number: int) -> str:
    """The uid of a complete configuration."""
    uids = page.evaluate("study.configurations.filter(one => one.state === 'complete').map(one => one.uid)")
    return str(uids[number])


def click_mark(page: Any, uid: str, **more: Any) -> None:
    page.locator("#explorer").evaluate("place => place.scrollIntoView({block: 'center'})")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 200)))")
    where = """uid => { for (const group of document.querySelectorAll("#explorer .trace"))
      for (const mark of group.querySelectorAll("path.point"))
        if (group.__data__[0].trace.customdata[mark.__data__.i] === uid) {
          const box = mark.getBoundingClientRect();
          return [box.x + box.width / 2, box.y + box.height / 2];
        } }"""
    x, y = page.evaluate(where, uid)
    for key in more.get("modifiers", ()):
        page.keyboard.down(key)
    page.mouse.move(x - 1, y)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.up()
    for key in more.get("modifiers", ()):
        page.keyboard.up(key)


@pytest.mark.parametrize("open_at", WIDTHS, indirect=True)
def test_a_click_on_a_mark_selects_everywhere_and_opens_the_details(open_at: Open) -> None:
    page = open_at("#x=num_views&y=val_clean")
    uid = complete(page, 3)
    click_mark(page, uid)
    page.locator("#panel[open]").wait_for(timeout=WAIT_MS)
    assert all_show(page, [uid]) and page.evaluate(LIT_LINES) > 0
    assert page.locator("#panel-title").inner_text() == uid and page.url.endswith(f"#trial={uid}&x=num_views")
    assert page.evaluate("document.activeElement.textContent") == "close"
    assert page.locator(f'#trials tr[data-uid="{uid}"]').get_attribute("aria-selected") == "true"
    page.keyboard.press("Escape")
    assert not page.locator("#panel").is_visible() and all_show(page, [uid])
    page.keyboard.press("Escape")
    settle(page)
    assert page.locator("#trials tr.selected, .unlit").count() == 0 and "trial=" not in page.url


def test_rows_select_by_mouse_and_by_keyboard_and_two_are_compared(open_at: Open) -> None:
    page = open_at()
    first, second = complete(page, 0), complete(page, 1)
    page.locator(f'#trials tr[data-uid="{first}"] a').focus()
    page.keyboard.press("Enter")
    page.locator("#panel[open]").wait_for(timeout=WAIT_MS)
    assert all_show(page, [first])
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.getAttribute('href')") == f"#trial={first}", "the focus comes back"
    page.locator(f'#trials tr[data-uid="{second}"] td').first.click(modifiers=["Control"])
    assert all_show(page, sorted([first, second]))
    page.locator("#compare").click()
    panel = page.locator("#panel")
    assert panel.locator("h2").inner_text() == f"{first} and {second}"
    configs = page.evaluate("study.trials.map(({uid, config}) => [uid, config])")
    one, other = (dict(configs)[uid] for uid in (first, second))
    base = page.evaluate("study.base")
    differing = {name for name in base if one.get(name, base[name]) != other.get(name, base[name])}
    fields = panel.locator("section").filter(has_text="What differs").first.locator("tbody th").all_inner_texts()
    assert set(fields) == differing and differing
    values = [
        page.evaluate("([i]) => study.metrics.find(m => m.name === 'val_clean').means[study.placeOf.get(i)]", [uid])
        for uid in (first, second)
    ]
    row = panel.locator("tr").filter(has_text="validation clean accuracy").first
    assert row.locator("td").last.inner_text().replace("−", "-") == f"{values[1] - values[0]:+.1f}"


def test_a_box_selects_marks_and_lines(open_at: Open) -> None:
    page = open_at()
    for place in ("#explorer", "#parallel-coordinates .plotly-graph-div"):
        chart = page.locator(place)
        chart.scroll_into_view_if_needed()
        page.evaluate("chart => Plotly.relayout(chart, {dragmode: 'select'})", chart.element_handle())
        page.wait_for_timeout(300)
        box = chart.locator(".nsewdrag").first.bounding_box()
        page.mouse.move(box["x"] + 0.02 * box["width"], box["y"] + 3)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
        page.mouse.up()
        page.wait_for_function("chosen.size > 0")
        uids = page.evaluate("[...chosen].map(place => study.configurations[place].uid).sort()")
        assert 0 < len(uids) < 60 and all_show(page, uids), place
        page.wait_for_function("place => !document.querySelector(place).layout.selections?.length", arg=place)
        page.keyboard.press("Escape")
        settle(page)
        assert page.evaluate("chosen.size") == 0


@pytest.mark.parametrize("open_at", WIDTHS, indirect=True)
def test_filters_hide_rows_and_dim_marks_and_the_address_opens_the_same_view(open_at: Open) -> None:
    page = open_at()
    page.locator("#bar summary").click()
    for level in ("none", "pgd"):
        page.locator('fieldset[data-key="where:adversary"]').get_by_label(level).uncheck()
    page.locator('fieldset[data-key="state"]').get_by_label("stopped").uncheck()
    page.locator("#bar summary").click()
    settle(page)
    kept = page.evaluate("""study.configurations.filter((one, place) => one.state !== 'stopped'
      && study.factors.find(f => f.name === 'adversary').values[place] === 'free').map(one => one.uid).sort()""")
    shown = page.locator("#trials tbody tr:not([hidden])").evaluate_all(
        "rows => rows.map(row => row.dataset.uid).sort()"
    )
    assert shown == kept and 0 < len(kept) < 60
    assert page.locator("#chosen").inner_text().startswith(f"{len(kept)} of 60 configurations, by state, adversary")
    assert set(page.evaluate(LIT)["explore-all-trials"]) <= set(kept)
    page.locator("#axes select[name=color]").select_option("epochs")
    page.locator("#axes select[name=split]").select_option("test")
    page.evaluate("uids => choose(uids.map(uid => study.placeOf.get(uid)))", kept[:3])
    settle(page)
    fragment = page.url[page.url.index("#") :]
    assert fragment == (
        f"#trials={','.join(kept[:3])}&state=complete,failed&where=adversary:free&color=epochs&split=test"
    )
    before = [page.evaluate(LIT), page.evaluate("choices"), page.locator("#chosen").inner_text()]
    page = open_at(fragment)
    settle(page)
    assert json.dumps(
        [page.evaluate(LIT), page.evaluate("choices"), page.locator("#chosen").inner_text()]
    ) == json.dumps(before)
    page.locator("#clear").click()
    settle(page)
    assert page.locator("#trials tbody tr[hidden], .unlit").count() == 0 and "where" not in page.url


def test_anchors_of_sections_still_work(open_at: Open) -> None:
    page = open_at()
    uid = complete(page, 2)
    page.evaluate("uid => choose([study.placeOf.get(uid)])", uid)
    page.evaluate("location.hash = '#all-trials'")
    page.wait_for_timeout(300)
    assert abs(page.locator("#all-trials").bounding_box()["y"]) < 450 and all_show(page, [uid])
    page.evaluate("location.hash = '#trial=nobody'")
    settle(page)
    assert page.evaluate("chosen.size") == 0


def test_the_details_have_files_a_command_and_yaml_to_copy(open_at: Open) -> None:
    page = open_at()
    uid = complete(page, 0)
    page.evaluate("location.hash = '#trial=' + study.configurations.find(one => one.state === 'complete').uid")
    panel = page.locator("#panel[open]")
    panel.wait_for(timeout=WAIT_MS)
    page.evaluate("navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve(); }")
    config = page.evaluate("uid => ({...study.base, ...study.trials.find(t => t.uid === uid).config})", uid)
    panel.get_by_role("button", name="copy as YAML").click()
    lines = dict(line.split(": ", 1) for line in page.evaluate("window.copied").splitlines())
    assert {name: json.loads(value) for name, value in lines.items()} == config
    panel.get_by_role("button", name="copy the command").click()
    assert page.evaluate("window.copied").startswith("python -m trainables.run_trial")
    assert panel.locator(".chart .main-svg").count() >= 2, "a curve and a family of accuracies"
