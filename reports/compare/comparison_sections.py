"""The sections of a comparison: the choice from each study, configs, accuracies with their tests, costs."""

import math
from collections.abc import Mapping
from typing import Any

from reports.compare.compared_studies import ChosenConfiguration, front_shares
from reports.compare.compared_trials import (
    EvaluatedTrial,
    accuracy_of,
    config_differences,
    paired_test,
    shared_accuracies,
    why_unpaired,
)
from reports.effects.effect_figures import p_text
from reports.effects.effects import holm
from reports.page.figure_style import short_percent, value_text
from reports.page.page import Section
from reports.page.report_table import ReportTable, table_of
from study.record.intervals import wilson_95
from study.record.measures import COSTS, format_cost, images_text, short_label

ATTACK_FIELDS = ("eval_pgd_steps", "eval_step_255", "eval_restarts", "eval_eot_samples", "probe_threat")


def study_section(chosen: Mapping[str, ChosenConfiguration]) -> Section:
    """The chosen configuration of each study, its means over seeds, and the hypervolume of each front."""
    tables = [choice.table for choice in chosen.values()]
    shares = front_shares(tables[0], tables[1]) if len(tables) == 2 else (math.nan,)
    names = list(
        dict.fromkeys(name for table in tables for name in (*table.accuracies("val"), *table.accuracies("test")))
    )
    rows = [
        {"study": f"{letter}: {choice.table.study.name}", "uid": choice.row["uid"], "why": choice.why,
         "seeds": len(choice.row["seeds"]), "front": len(choice.table.front_configurations), "share": share}
        | {name: short_percent(choice.row, name) for name in names}
        for (letter, choice), share in zip(chosen.items(), shares, strict=True)
    ]  # fmt: skip
    columns: dict[str, Any] = {"study": lambda row: row["study"], "configuration": lambda row: row["uid"]}
    columns |= {"chosen as": lambda row: row["why"], "seeds": lambda row: row["seeds"]}
    columns |= {short_label(name): lambda row, name=name: row[name] for name in names}
    columns |= {"on the front": lambda row: row["front"], "hypervolume (%)": lambda row: _share_text(row["share"])}
    caption = (
        "Chosen on validation by the mean over seeds, so that validation values flatter what was chosen; test values "
        "take no part. The hypervolume is the share of one box around both fronts that a study's front dominates. "
        "Below, one trial of each configuration is compared, of a seed that both have where there is one."
    )
    title = "Chosen configurations: mean ± standard deviation over seeds, or [Wilson 95% interval] of one seed"
    title = f"{title}. {images_text([choice.row for choice in chosen.values()], names)}".strip()
    return Section("Studies", caption, tables=(table_of("compared_studies", title, rows, columns),))


def trial_sections(first: EvaluatedTrial, second: EvaluatedTrial) -> list[Section]:
    """The configs, the accuracies and the costs of two trials, A and B."""
    differences = _differences_table(first, second)
    words = "The fields that have an effect and differ; – where a field has none."
    if differences.text.empty:
        words = "The configs are equal in every field that has an effect."
    accuracies = _accuracies_table(first, second)
    return [
        Section("Configs", f"{_named(first, second)} {words}", tables=() if differences.text.empty else (differences,)),
        Section("Accuracies", _accuracies_caption(first, second), tables=(accuracies,)),
        Section("Cost", _cost_caption(first, second), tables=(_cost_table(first, second),)),
    ]


def _named(first: EvaluatedTrial, second: EvaluatedTrial) -> str:
    return f"A is {first.folder} (seed {first.config.seed}), B is {second.folder} (seed {second.config.seed})."


def _differences_table(first: EvaluatedTrial, second: EvaluatedTrial) -> ReportTable:
    rows = [
        {"field": name, "A": one, "B": other} for name, one, other in config_differences(first.config, second.config)
    ]
    return table_of("config_differences", "Differences of the configs", rows, {
        "field": lambda row: row["field"],
        "A": lambda row: value_text(row["A"]),
        "B": lambda row: value_text(row["B"]),
    })  # fmt: skip


def _accuracies_caption(first: EvaluatedTrial, second: EvaluatedTrial) -> str:
    words = [
        "Brackets are Wilson 95% intervals over images. Where both were evaluated on the same images, B - A is over "
        "these common images, and p is of McNemar's exact test on those that only one of the two classified correctly, "
        "two-sided, and corrected by Holm's method over the rows. It compares these two trained classifiers and "
        "says nothing about other seeds."
    ]
    unlike = [name for name in ATTACK_FIELDS if getattr(first.config, name) != getattr(second.config, name)]
    if unlike:
        words.append(f"The attacks of the evaluation differ ({', '.join(unlike)}): robust accuracies are not alike.")
    for letter, trial in (("A", first), ("B", second)):
        doubts = trial.metrics.get("validity") or []
        words += [f"{letter} failed a check: {'; '.join(doubts)}."] if doubts else []
    has_checksums = first.data_checksum is not None and second.data_checksum is not None
    if not has_checksums and not any(why_unpaired(first, second, name) for name in shared_accuracies(first, second)):
        words.append("That the images are the same is inferred from the configs: not both trials recorded a checksum.")
    return " ".join(words)


def _accuracies_table(first: EvaluatedTrial, second: EvaluatedTrial) -> ReportTable:
    rows = [_accuracy_row(first, second, name) for name in shared_accuracies(first, second)]
    for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = corrected

    def count(row: Mapping[Any, Any], name: str) -> str:
        return "–" if row[name] is None else str(row[name])

    return table_of("compared_accuracies", "Accuracies, and how many images only one of the two got right", rows, {
        "accuracy": lambda row: short_label(row["accuracy"]),
        "A": lambda row: _accuracy_text(row, "A"),
        "B": lambda row: _accuracy_text(row, "B"),
        "B - A": lambda row: "–" if math.isnan(row["difference"]) else f"{row['difference']:+.1f}",
        "common images": lambda row: count(row, "images"),
        "only A": lambda row: count(row, "only_A"),
        "only B": lambda row: count(row, "only_B"),
        "p": lambda row: p_text(row["p"]),
        "p (Holm)": lambda row: p_text(row["p_holm"]),
        "remark": lambda row: f"no paired test: {row['unpaired']}" if row["unpaired"] else "–",
    })  # fmt: skip


def _accuracy_row(first: EvaluatedTrial, second: EvaluatedTrial, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"accuracy": name, "images": None, "only_A": None, "only_B": None, "p": math.nan}
    for letter, trial in (("A", first), ("B", second)):
        value, count = accuracy_of(trial, name) or (math.nan, 0)
        low, high = wilson_95(value, count) if count else (math.nan, math.nan)
        row |= {letter: value, f"{letter}_low": low, f"{letter}_high": high, f"{letter}_images": count}
    row["difference"], row["unpaired"] = row["B"] - row["A"], why_unpaired(first, second, name)
    if not row["unpaired"]:
        test = paired_test(first.flags[name], second.flags[name])
        row |= {"images": test.num_images, "only_A": test.only_first, "only_B": test.only_second, "p": test.p_value}
        # AutoAttack may have run on more images for one of the two.
        row["difference"] = 100 * (test.only_second - test.only_first) / test.num_images
    return row


def _accuracy_text(row: Mapping[Any, Any], letter: str) -> str:
    if math.isnan(row[letter]):
        return "–"
    return f"{row[letter]:.1f} [{row[f'{letter}_low']:.1f}, {row[f'{letter}_high']:.1f}], n={row[f'{letter}_images']:,}"


def _cost_caption(first: EvaluatedTrial, second: EvaluatedTrial) -> str:
    shared = [letter for letter, trial in (("A", first), ("B", second)) if trial.metrics.get("is_encoder_shared")]
    found = (
        f" {' and '.join(shared)} reused an encoder that was already trained: the cost is that of training it."
        if shared
        else ""
    )
    return f"Of pretraining alone. Training time was clocked and depends on what else ran on the machine.{found}"


def _cost_table(first: EvaluatedTrial, second: EvaluatedTrial) -> ReportTable:
    rows = []
    for name in COSTS:
        values = [float(trial.metrics[name]) for trial in (first, second) if trial.metrics.get(name) is not None]
        if len(values) == 2:
            ratio = values[1] / values[0] if values[0] > 0 else math.nan
            rows.append({"cost": name, "A": values[0], "B": values[1], "ratio": ratio})
    return table_of("compared_costs", "Costs", rows, {
        "cost": lambda row: COSTS[row["cost"]][0],
        "A": lambda row: format_cost(row["cost"], row["A"]),
        "B": lambda row: format_cost(row["cost"], row["B"]),
        "B / A": lambda row: "–" if math.isnan(row["ratio"]) else f"× {row['ratio']:.3g}",
    })  # fmt: skip


def _share_text(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.2f}"
