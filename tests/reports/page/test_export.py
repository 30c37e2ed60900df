"""Tables and figures as files: what is in them, and what is said where they cannot be made."""

import ast
import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from written_studies import SPEC

from reports.build import build_report
from reports.front.front_figures import front_figure
from reports.page.export import image_views
from reports.page.report_table import ReportTable
from reports.page.sections import sections_of
from reports.page.table_formats import to_csv, to_latex, to_markdown
from study.record.trials import tabulate

NewStudy = Callable[..., Any]
PGD_20 = "PGD-20 (cross-entropy and margin) at 8/255 (%)"
REPOSITORY = Path(__file__).parents[3]
TABLE = ReportTable(
    "two_rows",
    "Share of 50% & more_or_less",
    pd.DataFrame({"name": ["a|b", "c"], "value": [1.5, None]}),
    pd.DataFrame({"name": ["a|b_c", "[x]\ny"], "value (%)": ["1.5 ± 0.2", "–"]}),
)


def fill(study: Any) -> None:
    for seed in range(3):
        study.complete(70.0 + seed, 40.0, 2.0, {"num_views": 4}, seed=seed)
        study.complete(80.0 + seed, 30.0, 3.0, {"num_views": 8}, seed=seed)
    study.finish(study.start(num_views=16), "failed", reason="diverged")


def test_markdown() -> None:
    assert to_markdown(TABLE).splitlines() == [
        "Share of 50% & more_or_less", "", "| name | value (%) |", "| --- | ---: |",
        "| a\\|b_c | 1.5 ± 0.2 |", "| [x] y | – |",
    ]  # fmt: skip


def test_latex_is_booktabs_and_escaped() -> None:
    text = to_latex(TABLE)
    assert r"\caption{Share of 50\% \& more\_or\_less}" in text and r"\label{tab:two-rows}" in text
    body = text.partition(r"\begin{tabular}{lr}")[2].splitlines()
    assert body[1:7] == [
        r"\toprule", r"name & value (\%) \\", r"\midrule", r"a|b\_c & 1.5 $\pm$ 0.2 \\",
        r"{}[x] y & -- \\", r"\bottomrule",
    ]  # fmt: skip


@pytest.mark.parametrize("character", list("\\&%$#_{}~^"))
def test_no_special_character_reaches_latex(character: str) -> None:
    table = ReportTable("t", "t", pd.DataFrame(), pd.DataFrame({"head": [f"a{character}b"]}))
    row = next(line for line in to_latex(table).splitlines() if line.startswith("a"))
    assert row.startswith(("a\\", "a\\text")) and f"a{character}b" not in row


def own_texts(path: Path) -> str:
    """All strings in a module's code, one after the other."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return "".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_what_the_reports_write_is_ascii_in_latex() -> None:
    modules = [*(REPOSITORY / "reports").rglob("*.py"), *(REPOSITORY / "study" / "record").glob("*.py")]
    used = {character for path in modules for character in own_texts(path) if not character.isascii()}
    assert {"±", "×", "−", "≥", "–"} <= used
    tables = {one: ReportTable("t", one, pd.DataFrame(), pd.DataFrame({one: [one]})) for one in used}
    assert [character for character, table in tables.items() if not to_latex(table).isascii()] == []
    assert to_latex(tables["−"]).count("$-$") == 3  # caption, head and cell


def test_a_text_with_a_carriage_return_stays_one_row() -> None:
    reasons = ["download 10%\rdownload 20%\rreset", "a\r\nb", "c"]
    text = to_csv(ReportTable("t", "t", pd.DataFrame({"uid": [0, 1, 2], "reason": reasons}), pd.DataFrame()))
    read = pd.read_csv(io.StringIO(text, newline=""))
    assert read["uid"].tolist() == [0, 1, 2]
    assert read["reason"].tolist() == ["download 10% download 20% reset", "a\nb", "c"]


def test_csv_holds_no_formula() -> None:
    """A level or a reason may begin like one; numbers, also written as texts, stay what they are."""
    cells = ["=1+1", "+cmd|' /C calc'!A0", "-x", "@SUM(1)", "-0.5", -0.5, "a=b"]
    read = list(csv.reader(io.StringIO(to_csv(ReportTable("t", "t", pd.DataFrame({"level": cells}), pd.DataFrame())))))
    assert [row[0] for row in read[1:]] == ["'=1+1", "'+cmd|' /C calc'!A0", "'-x", "'@SUM(1)", "-0.5", "-0.5", "a=b"]


def test_csv_has_numbers() -> None:
    assert to_csv(TABLE) == "name,value\na|b,1.5\nc,\n"


def test_every_table_and_figure_of_the_report_is_a_file(new_study: NewStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    study = new_study()
    fill(study)
    monkeypatch.setattr("reports.page.export.has_kaleido", lambda: False)
    said: list[str] = []
    folder = build_report(study.study_dir, said.append).parent
    sections = sections_of(tabulate(study.read()))
    tables = {table.name for section in sections for table in (*section.tables, *section.exports)}
    figures = {name for section in sections for name in section.figures}
    assert {"front", "trials", "main_effects", "best_within_budget_train_pflop"} <= tables
    for name in ("front", "trials", "best_within_budget_train_pflop"):
        text = (folder / "tables" / f"{name}.tex").read_text(encoding="utf-8")
        assert "test n = 360" in text and ("validation n = 144" in text) == (name != "front")
    assert {"front_val_clean_val_pgd_8", "hypervolume", "parallel_coordinates"} <= figures
    expected = {f"{name}.{suffix}" for name in tables for suffix in ("csv", "md", "tex")}
    assert {path.name for path in (folder / "tables").iterdir()} == expected
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "plotly.min.js",
        *(f"{name}.html" for name in figures),
    }
    assert "pip install 'kaleido>=1'" in said[-1] and len(said) == 3
    page = (folder / "figures" / "parallel_coordinates.html").read_text(encoding="utf-8")
    assert 'src="plotly.min.js"' in page and '<script src="http' not in page and len(page) < 1e6
    assert "plotly.js v" in (folder / "figures" / "plotly.min.js").read_text(encoding="utf-8")[:200]


def test_each_cost_has_a_budget_table_of_its_own(new_study: NewStudy) -> None:
    study = new_study(objectives=[*SPEC["objectives"], {"name": "view_passes", "direction": "minimize"}])
    fill(study)
    page = build_report(study.study_dir, lambda line: None)
    names = [f"best_within_budget_{cost}" for cost in ("train_pflop", "view_passes")]
    assert sorted(path.stem for path in (page.parent / "tables").glob("best_within_budget*.csv")) == names
    html = page.read_text(encoding="utf-8")
    assert [html.count(f'id="{name}"') for name in names] == [1, 1]


def test_the_front_in_numbers(new_study: NewStudy) -> None:
    study = new_study()
    fill(study)
    build_report(study.study_dir, lambda line: None)
    text = (study.study_dir / "report" / "tables" / "front.csv").read_text(encoding="utf-8")
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["uid"], first["trials"], first["seeds"], first["num_views"]) == (
        "t001",
        "t001 t003 t005",
        "0 1 2",
        "8",
    )
    assert (float(first["test_clean"]), float(first["test_clean_sd"]), first["test_clean_images"]) == (80.0, 1.0, "360")
    assert first["test_clean_wilson_low"] == "" and "--set num_views=8" in first["command"]
    assert second["uid"] == "t000" and float(second["front_probability"]) == 1


def test_a_kaleido_without_a_browser_is_told_in_a_line(new_study: NewStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**arguments: Any) -> None:
        raise RuntimeError("Kaleido requires Google Chrome\nlong advice")

    study = new_study()
    fill(study)
    monkeypatch.setattr("reports.page.export.has_kaleido", lambda: True)
    monkeypatch.setattr("plotly.io.write_images", fail)
    said: list[str] = []
    build_report(study.study_dir, said.append)
    assert said[-1] == "no SVG and PNG: kaleido could not draw them: Kaleido requires Google Chrome"


def test_images_are_asked_for_in_both_formats(new_study: NewStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr("reports.page.export.has_kaleido", lambda: True)
    monkeypatch.setattr("plotly.io.write_images", lambda **arguments: asked.extend(arguments["file"]))
    study = new_study()
    fill(study)
    said: list[str] = []
    folder = build_report(study.study_dir, said.append).parent / "figures"
    names = {path.name for path in asked}
    assert {path.stem for path in folder.glob("*.html")} <= {path.stem for path in asked}
    assert {"front_val_clean_val_pgd_8.svg", "front_val_clean_val_pgd_8_test.png", "hypervolume.png"} <= names
    assert "hypervolume_test.svg" not in names and len(names) == len(asked)
    assert said[-1] == f"{len(asked) // 2} images as SVG and PNG in {folder}"


def test_an_image_shows_one_split(new_study: NewStudy) -> None:
    study = new_study()
    fill(study)
    table = tabulate(study.read())
    views = image_views("front", front_figure(table, *table.objectives[:2]))
    (validation, test) = views["front"], views["front_test"]
    assert list(validation.data[1].x) == [71, 81] and list(test.data[0].x) == [70, 80]
    assert [trace.name for trace in validation.data] == ["front of these two", "on the front", "on the front"]
    assert [trace.name for trace in test.data] == ["on the front", "on the front"], "marks, and their legend"
    assert validation.layout.annotations[0].text == "validation robust accuracy,<br>" + PGD_20
    assert test.layout.annotations[0].text == "test robust accuracy,<br>" + PGD_20
    assert test.layout.xaxis.title.text == "test clean accuracy (%)" and not test.layout.updatemenus


def test_without_export_there_is_the_page_alone(new_study: NewStudy) -> None:
    study = new_study()
    fill(study)
    assert {path.name for path in build_report(study.study_dir).parent.iterdir()} == {"answer.txt", "index.html"}
