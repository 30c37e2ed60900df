"""Studies beside the paper's tables; every number of ours is constructed."""

import csv
import math
from collections.abc import Callable
from typing import Any

import pytest
from scipy import stats

from reports.build import build_report
from reports.page.table_formats import to_csv, to_latex, to_markdown
from reports.paper.paper_comparison import seed_interval
from reports.paper.paper_rows import rows_of, space_of
from reports.paper.paper_table import paper_sections
from search_spaces.mini.crops_vs_patches import STUDY as crops_vs_patches
from search_spaces.paper._recipes import CROP
from study.record.trials import tabulate
from study.spec import StudySpec

NewStudy = Callable[..., Any]
PGD, CF_3, CF_5, SIMCLR = range(4)  # the first rows of Table 4


def metrics(clean: float, view_passes: int = 1000, **changes: Any) -> dict[str, Any]:
    """Results of a trial; robust accuracies lie 20, 40 and 60 points under ``clean``."""
    values: dict[str, Any] = {"val_n": 5000, "test_n": 10_000, "validity": [], "train_seconds": 60.0}
    values |= {"view_passes": view_passes, "train_pflop": view_passes / 500}
    for split in ("val", "test"):
        values[f"{split}_clean"] = clean
        values |= {f"{split}_pgd_{radius}": max(clean - drop, 0) for radius, drop in ((4, 20), (8, 40), (16, 60))}
    return values | changes


class PaperStudy:
    """A study of a shipped space whose rows are ended one by one."""

    def __init__(self, new_study: NewStudy, item: str, preset: str = "paper", **settings: Any) -> None:
        self.spec: StudySpec = space_of(item).with_preset(preset).with_settings(settings)
        self.writer = new_study(**self.spec.model_dump(mode="json"))
        self.params = [params for params, _ in rows_of(item, preset)]

    def end(self, row: int, found: dict[str, Any] | None = None, state: str = "complete", seed: int = 0,
            purpose: str = "search", **changes: Any) -> None:  # fmt: skip
        """One trial of a row, from its proposal to its end; without ``found`` it has no results."""
        journal, config = self.writer.journal, self.spec.config(self.params[row], seed).replace(**changes)
        uid = f"t{len(journal.record.trials):03d}"
        journal.write("proposed", uid=uid, number=int(uid[1:]), params=self.params[row], purpose=purpose,
                      config=config.model_dump(mode="json"))  # fmt: skip
        journal.write("launched", uid=uid, attempt=1)
        if state != "running":
            journal.write("finished", uid=uid, state=state, metrics=found or {}, reason="")

    def section(self) -> Any:
        (section,) = paper_sections(tabulate(self.writer.read()), self.writer.study_dir)
        return section

    def line(self, row: int, measure: str) -> dict[str, Any]:
        """One line of the table: its numbers, and its text by head."""
        (table,) = self.section().exports
        name = ", ".join(self.params[row].values())
        (index,) = [i for i, one in enumerate(table.data.to_dict("records"))
                    if (one["row"], one["measure"]) == (name, measure)]  # fmt: skip
        return table.data.iloc[index].to_dict() | {f"text {k}": v for k, v in table.text.iloc[index].items()}


def test_a_row_over_seeds(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table4")
    for seed, clean in enumerate((74.0, 75.0, 76.0)):
        study.end(CF_3, metrics(clean), seed=seed)
    found = study.line(CF_3, "test_clean")
    assert (found["paper"], found["ours"], found["ours_sd"], found["ours_seeds"]) == (75.78, 75.0, 1.0, 3)
    assert found["ours_images"] == 10_000 and found["interval_over"] == "seeds"
    # t(0.975, 2) = 4.3027; one further seed beside a mean of three: 4.3027 x sqrt(1 + 1/3) = 4.968.
    assert found["difference"] == pytest.approx(-0.78)
    assert (found["low"], found["high"]) == pytest.approx((-0.78 - 4.968, -0.78 + 4.968), abs=1e-3)
    assert (found["text ours"], found["text ours − paper"]) == ("75.0 ± 1.0", "-0.8 [-5.7, +4.2]")
    assert found["text note"] == "the paper: Table 1 prints 75.88 for the same run"
    assert study.line(CF_3, "test_pgd_16")["difference"] == pytest.approx(15 - 6.24)


def test_a_row_of_one_seed_has_the_interval_of_its_images(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table4")
    study.end(CF_3, metrics(75.0))
    found = study.line(CF_3, "test_clean")
    interval = stats.binomtest(7500, 10_000).proportion_ci(method="wilson")
    assert found["interval_over"] == "images" and found["ours_seeds"] == 1 and math.isnan(found["ours_sd"])
    assert (found["low"], found["high"]) == pytest.approx((100 * interval.low - 75.78, 100 * interval.high - 75.78))


def test_a_dumbbell_for_each_row_of_the_paper_with_our_interval(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table4")
    for seed, clean in enumerate((74.0, 75.0, 76.0)):
        study.end(CF_3, metrics(clean), seed=seed)
    figures = study.section().figures
    assert list(figures) == ["paper_table4_clean", "paper_table4_pgd_8"]
    *lines, paper, ours = figures["paper_table4_clean"].data
    assert paper.name == "paper: CIFAR-10, full size" and ours.name == "ours: CIFAR-10, preset paper"
    assert [name.replace("<br>", " ") for name in paper.y[:2]] == [
        "Crop-based EMP-SSL (16 crops, 5-step PGD, 30 epochs)", "CF-AMC-SSL (16 crops, m=3, 10 epochs)",
    ]  # fmt: skip
    assert len(paper.y) == len(lines) == 10 and list(paper.x[:2]) == [76.55, 75.78]
    assert list(ours.x[:2]) == [None, 75.0] and ours.error_x.array[1] == pytest.approx(4.968, abs=1e-3)
    assert list(ours.customdata[:3]) == [None, "t000", None]
    assert list(lines[1].x) == [75.78, 75.0]


def test_a_table_in_the_layout_of_the_paper(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table4")
    for seed, clean in enumerate((74.0, 75.0, 76.0)):
        study.end(CF_3, metrics(clean), seed=seed)
    (table,) = study.section().tables
    assert list(table.text) == [
        "Models",
        "Clean",
        "PGD (4/255)",
        "PGD (8/255)",
        "PGD (16/255)",
        "Time | view passes",
        "note",
    ]
    row = table.text.iloc[1]
    assert row["Models"] == "CF-AMC-SSL (16 crops, m=3, 10 epochs)" and row["Clean"] == "75.78 | 75.0 ± 1.0"
    assert row["note"] == "Clean: the paper: Table 1 prints 75.88 for the same run"
    numbers = table.data.iloc[1]
    assert (numbers["clean_low"], numbers["clean_high"]) == pytest.approx((75 - 4.968, 75 + 4.968), abs=1e-3)


def other_study(new_study: NewStudy, preset: str) -> PaperStudy:
    """Of a space that is no table's, with two of the paper's recipes."""
    study = PaperStudy(new_study, "table1")
    study.spec = crops_vs_patches.with_preset(preset)
    study.writer = new_study(**study.spec.model_dump(mode="json"))
    study.params = [{"recipe": "16 crops"}, {"recipe": "16 patches"}]
    return study


@pytest.mark.parametrize(
    ("changes", "caption"),
    [
        ({}, "Rows of the paper"),
        ({"learning_rate": 2.9}, "Differs from the shipped space in: learning_rate=2.9."),
        ({"encoder": "resnet_narrow"}, 'Different scales, not comparable: the study has encoder="resnet_narrow".'),
        ({"attack_radius_255": 1.0}, "Different scales, not comparable: the study has attack_radius_255=1.0."),
    ],
)
def test_what_such_a_study_has_otherwise_is_said(new_study: NewStudy, changes: dict[str, Any], caption: str) -> None:
    study = other_study(new_study, "paper")
    study.end(0, metrics(75.0), eval_losses=("cross_entropy",), **changes)
    section = study.section()
    assert section.caption.startswith(caption)
    assert section.exports[0].data["difference"].isna().all() == ("not comparable" in caption)


def test_two_recipes_of_one_row_are_told_apart(new_study: NewStudy) -> None:
    study = other_study(new_study, "mini")
    study.end(0, metrics(41.0))
    study.end(1, metrics(37.0), **CROP, learning_rate=0.1)  # whatever the name says
    (table,) = study.section().tables
    name = "CF-AMC-SSL (16 crops, m=3, 10 epochs)"
    assert list(table.text["Models"]) == [f"{name}: 16 crops", f"{name}: 16 patches"]
    assert len(set(study.section().figures["paper_rows_clean"].data[0].y)) == 2


def test_recipes_of_any_study_that_the_paper_prints_are_beside_it(new_study: NewStudy) -> None:
    study = other_study(new_study, "mini")
    study.end(0, metrics(41.0))
    study.end(1, metrics(37.0))
    section = study.section()
    (table,) = section.tables
    assert list(table.text["Models"]) == [
        "Patch-based EMP-FreeAdv (16 patches, m=3, 10 epochs)", "CF-AMC-SSL (16 crops, m=3, 10 epochs)",
    ]  # fmt: skip
    assert [text.partition(" [")[0] for text in table.text["Clean"]] == ["61.83 | 37.0", "75.88 | 41.0"]
    assert list(section.figures) == ["paper_rows_clean", "paper_rows_pgd_8"]
    assert section.caption == "Different scales, not comparable: the study ran under the preset mini."
    assert section.exports[0].data["difference"].isna().all()


@pytest.mark.parametrize("item", ["table1", "table2", "table3", "table4", "table5", "table6"])
def test_rows_have_names_of_their_own_in_the_order_of_the_paper(new_study: NewStudy, item: str) -> None:
    (table,) = PaperStudy(new_study, item).section().tables
    names = list(table.text["Models"])
    assert len(set(names)) == len(names)
    if item == "table4":
        assert names[4] == "SimCLR-FreeAdv (2 crops, m=3, 167 epochs)" and names[-1].startswith("Supervised-FreeAdv (")


@pytest.mark.parametrize("state", ["failed", "stopped", "running", None])
def test_what_is_not_complete_is_never_a_number(new_study: NewStudy, state: str | None) -> None:
    study = PaperStudy(new_study, "table4")
    study.end(PGD, metrics(70.0))
    if state is not None:
        study.end(CF_3, metrics(99.0), state=state)
    for measure in ("test_clean", "test_pgd_4", "test_pgd_8", "test_pgd_16", "view_passes_ratio", "train_pflop_ratio"):
        found = study.line(CF_3, measure)
        assert found["text ours"] == "not run" and found["text ours − paper"] == found["text seeds"] == "–"
        assert all(math.isnan(found[name]) for name in ("ours", "difference", "low", "high", "factor"))
        assert math.isfinite(found["paper"])
    assert (f"1 trial {state}" in study.line(CF_3, "test_pgd_8")["text note"]) == (state is not None)


def test_what_was_not_measured_is_no_number_either(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table6")
    study.end(0, metrics(76.0))
    assert study.line(0, "test_clean")["ours"] == 76
    found = study.line(0, "test_aa_8")
    assert found["text ours"] == "not measured" and math.isnan(found["ours"]) and math.isnan(found["difference"])


def test_autoattack_of_table_6(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table6")
    study.end(0, metrics(76.0, test_aa_4=40.0, test_aa_8=20.0, test_aa_16=2.0, test_aa_n=1000))
    found = study.line(0, "test_aa_16")
    assert (found["paper"], found["ours"], found["ours_images"]) == (7.81, 2.0, 1000)
    assert "impossible for a sound AutoAttack" in found["note"]
    measures = set(study.section().exports[0].data["measure"])
    assert measures == {"test_clean", "test_aa_4", "test_aa_8", "test_aa_16"}


def test_lost_seeds_and_failed_checks_are_noted(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table4")
    study.end(PGD, metrics(70.0, validity=["collapsed"]))
    study.end(PGD, state="failed", seed=1)
    study.end(PGD, state="failed", seed=2)
    found = study.line(PGD, "test_clean")
    assert found["text note"] == "2 trials failed; ⚠ collapsed" and found["ours_seeds"] == 1


def test_costs_are_relative_to_a_row_that_both_have(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table4")
    study.end(CF_3, metrics(75.0, view_passes=480))
    study.end(SIMCLR, metrics(75.0, view_passes=3500, train_pflop=4.0))
    found = study.line(SIMCLR, "view_passes_ratio")
    # The first row was not run, so the second is the measure: 934 of 97 minutes, 3500 of 480 view passes.
    assert (found["paper"], found["ours"]) == pytest.approx((934 / 97, 3500 / 480))
    assert found["factor"] == pytest.approx((3500 / 480) / (934 / 97)) and math.isnan(found["difference"])
    assert found["text note"] == "934 min; 1 is EMP-SSL, 16 crops, free m=3, 10 epochs"
    assert (found["text ours"], found["text ours − paper"]) == ("× 7.29", "× 0.76")
    assert study.line(SIMCLR, "train_pflop_ratio")["ours"] == pytest.approx(4.0 / (480 / 500))
    study.end(PGD, metrics(75.0, view_passes=2880))
    assert study.line(CF_3, "view_passes_ratio")["ours"] == pytest.approx(480 / 2880)
    assert study.line(CF_3, "view_passes_ratio")["paper"] == pytest.approx(97 / 530)


def test_tables_without_minutes_have_no_costs(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table5")
    study.end(0, metrics(70.0))
    assert set(study.section().exports[0].data["measure"]) == {"test_clean", "test_pgd_4", "test_pgd_8", "test_pgd_16"}


def test_the_data_set_decides_on_the_column(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table4", dataset="cifar100")
    study.end(CF_3, metrics(50.0))
    assert study.line(CF_3, "test_clean")["paper"] == 50.74 and "CIFAR-100" in study.section().tables[0].title
    photographs = PaperStudy(new_study, "table4_imagenet100", data_root="elsewhere")
    photographs.end(0, metrics(30.0))
    assert photographs.line(0, "test_clean")["difference"] == pytest.approx(30 - 34.38)
    assert "Not" not in photographs.section().tables[0].title + photographs.section().caption


def test_a_laptop_is_not_compared(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table4", "laptop")
    for seed in range(3):
        study.end(CF_3, metrics(90.0 + seed), seed=seed)
    study.end(PGD, metrics(90.0))
    found = study.line(CF_3, "test_clean")
    assert (found["paper"], found["ours"]) == (75.78, 91.0)
    assert all(math.isnan(found[name]) for name in ("difference", "low", "high", "factor"))
    assert math.isnan(study.line(CF_3, "view_passes_ratio")["factor"]) and found["text ours − paper"] == "–"
    section = study.section()
    why = "ot comparable: the study ran under the preset laptop; ours are of digits, the paper's of CIFAR-10"
    assert section.caption.startswith(f"Different scales, n{why}") and why in section.tables[0].title
    figure = section.figures["paper_table4_clean"]
    assert "different scales" in figure.layout.title.text and len(figure.data) == 2  # no lines between the two


def test_preset_authors_is_compared_and_what_it_sets_is_said(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table4", "authors")
    study.end(CF_3, metrics(70.0))
    assert study.line(CF_3, "test_clean")["difference"] == pytest.approx(70 - 75.78)
    changed = 'lr_horizon="batches", perturbation="carried_unclamped"'
    assert study.section().caption == f"Differs from the shipped space in: {changed}."


def test_another_data_set_is_not_compared(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table5", dataset="imagefolder", data_root="photographs")
    study.end(0, metrics(70.0))
    assert math.isnan(study.line(0, "test_clean")["difference"])
    assert "Not comparable: ours are of imagefolder, the paper's of CIFAR-10" in study.section().tables[0].title


def test_what_was_set_otherwise_is_said(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table4", train_images=1000)
    study.end(PGD, metrics(70.0))
    study.end(PGD, metrics(70.0), seed=1, purpose="confirmation", eval_autoattack_samples=1000)
    caption = study.section().caption
    assert caption == "Differs from the shipped space in: train_images=1000."
    as_shipped = PaperStudy(new_study, "table4", data_root="elsewhere")
    as_shipped.end(PGD, metrics(70.0), seed=2)
    assert "Differs" not in as_shipped.section().caption


def test_every_table_has_all_rows_before_anything_ran(new_study: NewStudy) -> None:
    for item, rows, measures in (("table1", 7, 5), ("table2", 6, 4), ("table3", 4, 4), ("table4", 10, 6)):
        (table,) = PaperStudy(new_study, item).section().exports
        assert len(table.text) == rows * measures
        assert set(table.text["ours"]) == {"not run"} and table.data["paper"].notna().all()


def test_the_interval_is_that_of_one_further_seed() -> None:
    """Of two draws with equal spread, the second lies in the interval of the first ones in 95 of 100 cases."""
    generator = stats.norm.rvs(size=(20_000, 4), random_state=0)
    hits = 0
    for *seen, new in generator.tolist():
        mean = sum(seen) / 3
        spread = math.sqrt(sum((value - mean) ** 2 for value in seen) / 2)
        low, high = seed_interval(mean, spread, 3)
        hits += low <= new <= high
    assert hits / 20_000 == pytest.approx(0.95, abs=0.006)  # four standard errors
    with pytest.raises(ValueError, match="seeds=1"):
        seed_interval(70.0, 1.0, 1)


def test_a_figure_has_no_numbers_to_compare_with(new_study: NewStudy) -> None:
    section = PaperStudy(new_study, "figure5").section()
    assert "Figure 5 and prints no number" in section.caption and section.tables == ()


def test_the_page_and_its_files(new_study: NewStudy) -> None:
    study = PaperStudy(new_study, "table4")
    for seed in range(2):
        study.end(PGD, metrics(75.0 + seed), seed=seed)
    folder = build_report(study.writer.study_dir, lambda line: None, asked=["paper"]).parent
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "Beside the paper" in page and 'id="paper_table4_layout"' in page and "not run" in page
    (table,) = study.section().exports
    for suffix, written_as in (("csv", to_csv), ("md", to_markdown), ("tex", to_latex)):
        assert (folder / "tables" / f"paper_table4.{suffix}").read_text(encoding="utf-8") == written_as(table)
    lines = list(csv.DictReader(to_csv(table).splitlines()))
    assert len(lines) == 60 and "not run" not in to_csv(table)
    assert lines[0]["ours"] == "75.5" and lines[5]["ours"] == ""
    assert r"\toprule" in to_latex(table) and "| not run |" in to_markdown(table)
    build_report(study.writer.study_dir)
    assert "Beside the paper" not in (folder / "index.html").read_text(encoding="utf-8")
