"""No rule of WCAG 2 at levels A and AA that axe-core checks is broken, in light and dark, on phones and screens."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa"]}}


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_the_page_breaks_no_rule(browser: Any, study_dir: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        page.goto((study_dir / "report" / "index.html").as_uri())
        page.wait_for_function("study !== null")
        for place in page.locator(".plotly-graph-div").all():
            place.scroll_into_view_if_needed()
            place.locator(".main-svg").first.wait_for(timeout=300_000)
        page.locator("#bar details").evaluate("one => { one.open = true; }")
        assert broken(axe, page) == []
        page.evaluate("pick([study.configurations.findLastIndex(one => one.state === 'complete')])")
        page.locator("#panel[open] .main-svg").first.wait_for(timeout=300_000)
        page.locator("#panel details").evaluate_all("all => all.forEach(one => { one.open = true; })")
        assert broken(axe, page) == []
    finally:
        page.close()


def broken(axe: Any, page: Any) -> list[str]:
    """The broken rules with the elements that break them."""
    found = axe.run(page, options=RULES).response["violations"]
    return [f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]]
