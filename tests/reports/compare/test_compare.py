"""Comparisons of constructed trials and studies: p values by hand, and plain words where there is no paired test."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.compare.__main__ import compare, main
from reports.compare.compared_studies import chosen_configuration, front_shares
from reports.compare.compared_trials import EvaluatedTrial, config_differences, paired_test, read_trial, why_unpaired
from reports.page.page import Section
from study.record.journal import Journal
from trainables.presets import LAPTOP
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial_config import TrialConfig

NewStudy = Callable[..., Any]
METRICS = {metric.name: metric for metric in ROBUST_SSL.metrics(TrialConfig())}
COSTS = {"train_pflop": 0.5, "view_passes": 1000, "train_seconds": 10.0}


def flags_of(text: str) -> np.ndarray:
    """'110' as flags: the first two images right, the third wrong."""
    return np.array([letter == "1" for letter in text])


def save(
    folder: Path, flags: dict[str, str] | None = None, metrics: dict[str, Any] | None = None, **changes: Any
) -> Path:
    """A trial's folder as a trial writes it; without ``flags`` it has no file of them."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: flags_of(text) for name, text in (flags or {}).items()}
    measured: dict[str, Any] = {name: 100 * float(values.mean()) for name, values in arrays.items()}
    measured |= {f"{name.partition('_')[0]}_n": len(values) for name, values in arrays.items() if "_aa_" not in name}
    changes |= {"eval_autoattack_samples": 5} if any("_aa_" in name for name in arrays) else {}
    config = TrialConfig(**(LAPTOP | changes)).model_dump(mode="json")
    content = {"config": config, "metrics": {"validity": []} | COSTS | measured | (metrics or {})}
    (folder / "result.json").write_text(json.dumps(content))
    if flags is not None:
        np.savez_compressed(folder / "flags.npz", **arrays)  # type: ignore[arg-type]
    return folder


def rows_of(sections: list[Section], name: str) -> list[dict[str, str]]:
    (table,) = [table for section in sections for table in section.tables if table.name == name]
    return table.text.to_dict("records")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("11111110", "00000001", (8, 7, 1, 2 * (1 + 8) / 2**8)),  # 2 P(at most 1 of 8)
        ("1111111000", "1000000000", (10, 6, 0, 2 / 2**6)),
        ("1010", "1010", (4, 0, 0, 1.0)),
        ("1100", "0011", (4, 2, 2, 1.0)),
        ("11111", "0000", (4, 4, 0, 2 / 2**4)),  # of the first four images alone
    ],
)
def test_mcnemar_by_hand(first: str, second: str, expected: tuple[int, int, int, float]) -> None:
    test = paired_test(flags_of(first), flags_of(second))
    assert (test.num_examples, test.only_first, test.only_second) == expected[:3]
    assert test.p_value == pytest.approx(expected[3])


def test_accuracies_with_intervals_and_paired_tests(tmp_path: Path) -> None:
    first = save(tmp_path / "a", {"test_clean": "11111110", "test_pgd_8": "11110000", "test_aa_8": "111"})
    second = save(tmp_path / "b", {"test_clean": "00000001", "test_pgd_8": "00110000", "test_aa_8": "00111"},
                  metrics={"train_pflop": 1.25}, num_views=8)  # fmt: skip
    sections = compare(first, second)
    clean, pgd, aa = rows_of(sections, "compared_accuracies")
    assert clean["A"] == "87.5 [52.9, 97.8], n=8" and clean["B"] == "12.5 [2.2, 47.1], n=8"  # (p + z²/2n ± ...) by hand
    assert (clean["B - A"], clean["test"]) == ("-75.0", "of 8 images only A 7, only B 1; p = 0.07")
    assert clean["p (Holm)"] == "0.21" and pgd["p (Holm)"] == "1" and pgd["test"].endswith("p = 0.5")
    assert aa["test"] == "of 3 images only A 2, only B 0; p = 0.5"
    # A has all of its three images, B three of five, but of the common three a single one.
    assert (aa["A"][:5], aa["B"][:4], aa["B - A"]) == ("100.0", "60.0", "-66.7")
    (compute,) = (row for row in rows_of(sections, "compared_costs") if row["metric"] == "training compute")
    assert (compute["A"], compute["B"], compute["B / A"]) == ("500 TFLOP", "1.25 PFLOP", "× 2.50")
    assert rows_of(sections, "config_differences") == [{"field": "num_views", "A": "4", "B": "8"}]


def test_only_effective_fields_differ(tmp_path: Path) -> None:
    base = TrialConfig(**LAPTOP)
    none, pgd = base.replace(adversary="none", replays=5), base.replace(adversary="pgd", replays=3)

    def differences(one: TrialConfig, other: TrialConfig) -> list[tuple[str, Any, Any]]:
        return config_differences(*(EvaluatedTrial(Path("t"), config, {}, {}) for config in (one, other)))

    found = {name: (one, other) for name, one, other in differences(none, pgd)}
    assert found["adversary"] == ("none", "pgd") and found["pgd_steps"] == (None, 5) and "replays" not in found
    assert differences(base, base.replace(data_root="elsewhere")) == []
    same = compare(save(tmp_path / "a", {"val_clean": "10"}), save(tmp_path / "b", {"val_clean": "10"}))
    assert "equal in every field that has an effect" in same[1].caption and same[1].tables == ()


@pytest.mark.parametrize(
    ("changes", "unpaired"),
    [
        ({"split_seed": 1}, {"val_clean", "test_clean"}),
        ({"eval_samples": 200}, {"val_clean", "test_clean"}),
        ({"image_size": 32}, {"val_clean", "test_clean"}),
        ({"dataset": "cifar10"}, {"val_clean", "test_clean"}),
        ({"validation_fraction": 0.3}, {"val_clean"}),  # test images do not depend on it
        ({"train_images": 500, "num_views": 8, "seed": 3, "data_root": "elsewhere"}, set()),
    ],
)
def test_other_images_have_no_paired_test_and_the_reason_is_said(
    tmp_path: Path, changes: dict[str, Any], unpaired: set[str]
) -> None:
    flags = {"val_clean": "1110", "test_clean": "1000"}
    trials = [read_trial(save(tmp_path / "a", flags)), read_trial(save(tmp_path / "b", flags, **changes))]
    reasons = {name: why_unpaired(trials[0], trials[1], METRICS[name]) for name in flags}
    assert {name for name, reason in reasons.items() if reason} == unpaired
    for row in rows_of(compare(tmp_path / "a", tmp_path / "b"), "compared_accuracies"):
        field = next(iter(changes)).replace("dataset", "probed_dataset")
        is_paired = row["test"].startswith("of 4 images")
        assert is_paired == (row["p (Holm)"] != "–")
        assert is_paired or row["test"].startswith(f"no paired test: other images: {field} is ")


def test_folders_of_images_are_the_same_by_checksum_or_by_place(tmp_path: Path) -> None:
    flags, images = {"test_clean": "10"}, {"dataset": "imagefolder"}

    def trial(study: str, checksum: str, root: str) -> Any:
        journal = Journal(tmp_path / study)
        journal.write("created", study=study, spec={"data_checksum": checksum}, environment={})
        journal.close()
        return read_trial(save(tmp_path / study / "trials" / "t0", flags, data_root=root, **images))

    here, moved, other = trial("x", "abc", "here"), trial("y", "abc", "there"), trial("z", "def", "here")
    lone = read_trial(save(tmp_path / "lone", flags, data_root="there", **images))
    assert why_unpaired(here, moved, METRICS["test_clean"]) == ""
    assert why_unpaired(here, other, METRICS["test_clean"]) == "other images: the checksums of the data differ"
    assert "data_root differs" in why_unpaired(here, lone, METRICS["test_clean"])
    assert why_unpaired(moved, lone, METRICS["test_clean"]) == ""
    assert "inferred from the configs" in compare(moved.folder, lone.folder)[2].method
    assert "inferred from the configs" not in compare(here.folder, moved.folder)[2].method


def test_encoders_of_other_images_are_compared_on_those_of_the_probe(tmp_path: Path) -> None:
    flags = {"test_clean": "10"}

    def trial(study: str, checksum: str, **fields: Any) -> Any:
        journal = Journal(tmp_path / study)
        journal.write("created", study=study, spec={"data_checksum": checksum}, environment={})
        journal.close()
        return read_trial(save(tmp_path / study / "trials" / "t0", flags, **fields))

    first = trial("a", "abc+def", dataset="cifar10", probe_dataset="stl10")
    other_pretraining = trial("b", "ghi+def", dataset="cifar100", probe_dataset="stl10")
    other_files = trial("c", "abc+xyz", dataset="cifar10", probe_dataset="stl10")
    untransferred = trial("d", "def", dataset="stl10")
    elsewhere = trial("e", "abc", dataset="cifar10")
    for second in (other_pretraining, untransferred):
        assert why_unpaired(first, second, METRICS["test_clean"]) == ""
    assert why_unpaired(first, other_files, METRICS["test_clean"]) == "other images: the checksums of the data differ"
    assert "probed_dataset" in why_unpaired(first, elsewhere, METRICS["test_clean"])


def test_missing_flags_and_accuracies_are_said(tmp_path: Path) -> None:
    numbers = {"test_clean": 50.0, "test_n": 4}
    first, second = (
        save(tmp_path / "a", {"test_clean": "1110", "test_pgd_8": "1000"}),
        save(tmp_path / "b", None, numbers),
    )
    clean, pgd = rows_of(compare(first, second), "compared_accuracies")
    assert clean["B"].startswith("50.0 [") and clean["B - A"] == "-25.0"
    assert clean["test"] == "no paired test: B: no flags.npz that says it of each example"
    assert pgd["B"] == "–" and pgd["B - A"] == "–" and pgd["test"] == "no paired test: only A has it"
    third = save(tmp_path / "c", {"test_clean": "11100"})
    assert "4 and 5 of them" in rows_of(compare(first, third), "compared_accuracies")[0]["test"]


def test_doubts_and_unlike_attacks_are_said(tmp_path: Path) -> None:
    first = save(tmp_path / "a", {"val_clean": "10"}, {"validity": ["collapsed"]})
    shared = {"is_encoder_shared": True, "hardware": "a GPU elsewhere"}
    second = save(tmp_path / "b", {"val_clean": "10"}, shared, eval_pgd_steps=7)
    _, _, accuracies, cost = compare(first, second)
    assert "A failed a check: collapsed." in accuracies.caption and "(eval_pgd_steps)" in accuracies.caption
    assert "B reused what another trial had trained" in cost.caption
    assert "A on unknown hardware; B on a GPU elsewhere." in cost.caption


def study_with_trials(new_study: NewStudy, gain: float = 0.0) -> Path:
    """A front of five with its knee at 80 and 40, and one behind it; the trials' folders as a study leaves them."""
    study = new_study()
    for seed in (1, 2):
        for views, (clean, robust, pflop) in enumerate(
            [
                (90.0, 10.0, 1.0),
                (80.0, 40.0, 1.0),
                (60.0, 45.0, 1.0),
                (95.0, 5.0, 2.0),
                (50.0, 46.0, 2.0),
                (50.0, 5.0, 2.0),
            ]
        ):
            params = {"num_views": 2 + views}
            uid = study.complete(clean, robust + gain, pflop, params, seed=seed)
            flags = {"test_clean": "1" * (2 + views) + "0" * (8 - views)}
            save(study.study_dir / "trials" / uid, flags, seed=seed, **params)
    return Path(study.study_dir)


def test_studies_are_compared_by_their_knees_or_best(new_study: NewStudy) -> None:
    first, second = study_with_trials(new_study), study_with_trials(new_study, gain=4.0)
    studies = rows_of(compare(first, second, "knee"), "compared_studies")
    assert [row["configuration"] for row in studies] == ["t001", "t001"]
    assert studies[0]["chosen as"] == "the knee of its front" and studies[0]["seeds"] == "2"
    assert (
        studies[1]["test PGD-20 (cross-entropy and margin) at 8/255 (%)"] == "43.0 ± 0.0"
        and studies[0]["on the front"] == "5"
    )
    best = compare(first, second)
    assert [row["configuration"] for row in rows_of(best, "compared_studies")] == ["t004", "t004"]
    assert "best of its front in val_pgd_8" in rows_of(best, "compared_studies")[0]["chosen as"]
    assert f"A is {first / 'trials' / 't004'} (seed 1)" in best[2].caption
    # Both in one box: robust accuracy to 100, cost to 2.2. The second front lies 4 points higher everywhere.
    shares = front_shares(*(chosen_configuration(folder, "knee").table for folder in (first, second)))
    assert 0 < shares[0] < shares[1] < 1


def test_hypervolumes_are_of_one_box(new_study: NewStudy) -> None:
    cheap, dear = new_study(), new_study()
    cheap.complete(50.0, 50.0, 1.0)
    dear.complete(50.0, 50.0, 10.0)
    shares = front_shares(*(chosen_configuration(study.study_dir, "best").table for study in (cheap, dear)))
    # The box is 100 x 100 x 11 (a tenth behind the dearer one).
    assert shares == pytest.approx((0.25 * 10 / 11, 0.25 * 1 / 11))
    other = new_study(objectives=[{"name": "val_clean", "direction": "maximize"}])
    other.complete(50.0, 50.0, 1.0)
    tables = [chosen_configuration(study.study_dir, "best").table for study in (cheap, other)]
    assert np.isnan(front_shares(*tables)).all()


def test_a_front_without_a_knee_gives_its_best_and_a_trial_may_meet_a_study(
    new_study: NewStudy, tmp_path: Path
) -> None:
    study = new_study()
    uid = study.complete(60.0, 30.0, 1.0)
    save(study.study_dir / "trials" / uid, {"test_clean": "1100"})
    (row,) = rows_of(
        compare(save(tmp_path / "lone", {"test_clean": "1110"}), study.study_dir, "knee"), "compared_studies"
    )
    assert row["study"] == "B: constructed" and row["hypervolume (%)"] == "–"
    assert row["chosen as"] == "the best of its front in val_pgd_8, as the front has no knee"


def test_a_verdict_in_the_terminal_and_all_else_in_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = save(tmp_path / "<a>", {"test_clean": "11111110"})
    second = save(tmp_path / "b", {"test_clean": "00000001"}, adversary="none")
    page, tables = tmp_path / "page.html", tmp_path / "tables.md"
    assert main([str(first), str(second), "--html", str(page), "--markdown", str(tables)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Not decided in test clean: A 87.5%, B 12.5%, B - A = -75.0 points [")
    assert "p = 0.07; B has × 1.00 the training compute of A." in " ".join(lines)
    assert lines[-1] == f"All figures and tables: {page}" and all(len(line) <= 100 for line in lines[:-1])
    written = tables.read_text(encoding="utf-8")
    assert "| adversary | free | none |" in written and re.search(
        r"\| test clean .*only A 7, only B 1; p = 0.07 \|", written
    )
    source = page.read_text(encoding="utf-8")
    assert "<h1>&lt;a&gt; against b</h1>" in source and "compared_accuracies" in source and "<a>" not in source
    assert "<h2>Verdict</h2>" in source and 'class="figure-data"' in source and "<script src=" not in source


def test_a_page_has_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = save(tmp_path / "a", {"test_clean": "10"}), save(tmp_path / "b", {"test_clean": "10"})
    monkeypatch.chdir(tmp_path)
    assert main([str(first), str(second)]) == 0 and (tmp_path / "a_against_b.html").is_file()


def broken(folder: Path, name: str, content: str) -> Path:
    save(folder, {"test_clean": "10"})
    (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path, "no trial in .*: it has no result.json"),
        (lambda path: broken(path, "result.json", "{"), "result.json is not the result of a trial"),
        (lambda path: broken(path, "result.json", "[]"), "result.json is not the result of a trial"),
        (lambda path: broken(path, "result.json", '{"config": {"a": 1}, "metrics": {}}'), "not accept the config: a: "),
        (lambda path: broken(path, "flags.npz", "no zip"), "flags.npz cannot be read"),
        (lambda path: broken(path, "journal.jsonl", '{"event": "x", "time": 0}\n'), "has no front"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], Path], words: str
) -> None:
    good = save(tmp_path / "good", {"test_clean": "10"})
    page = tmp_path / "page.html"
    assert main([str(good), str(make(tmp_path / "bad")), "--html", str(page)]) == 2 and not page.exists()
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and re.search(words, printed.err)


def test_flags_of_another_kind_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", {"test_clean": "10"})
    np.savez_compressed(folder / "flags.npz", test_clean=np.array([0.5, 1.0]))
    with pytest.raises(ValueError, match="test_clean is not one flag an example: float64"):
        read_trial(folder)


TOY = """
from pydantic import BaseModel
from study.trainable import Metric, as_trainable


class Config(BaseModel, frozen=True):
    depth: int = 3
    seed: int = 0


@as_trainable(config=Config, metrics=[Metric("error", "minimize"), Metric("hours", "minimize", kind="cost", unit="h")])
def fit(config, context):
    yield {"error": 1.0, "hours": 2.0}
"""


def test_any_trainable_can_be_compared(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(TOY)
    for name, depth, error, hours in (("a", 3, 0.5, 2.0), ("b", 4, 0.25, 3.0)):
        (tmp_path / name).mkdir()
        metrics, config = {"error": error, "hours": hours}, {"depth": depth, "seed": 1}
        result = {"trainable": f"{tmp_path / 'toy.py'}:fit", "config": config, "metrics": metrics}
        (tmp_path / name / "result.json").write_text(json.dumps(result))
    sections = compare(tmp_path / "a", tmp_path / "b")
    assert [section.title for section in sections] == ["Verdict", "Configs", "Other metrics", "Cost"]
    assert rows_of(sections, "config_differences") == [{"field": "depth", "A": "3", "B": "4"}]
    assert rows_of(sections, "compared_metrics") == [{"metric": "error", "A": "0.5", "B": "0.25", "B - A": "-0.25"}]
    assert rows_of(sections, "compared_costs") == [{"metric": "hours (h)", "A": "2 h", "B": "3 h", "B / A": "× 1.50"}]
    other = compare(tmp_path / "a", save(tmp_path / "c", {"test_clean": "10"}))
    assert rows_of(other, "compared_accuracies")[0]["test"] == "no paired test: only B has it"
    (tmp_path / "toy.py").unlink()
    (tmp_path / "a" / "result.json").write_text(json.dumps({"trainable": "nowhere:x", "config": {}, "metrics": {}}))
    with pytest.raises(ValueError, match="no trainable 'nowhere:x'"):
        compare(tmp_path / "a", tmp_path / "b")


def test_a_reader_that_has_enough_causes_no_traceback(tmp_path: Path) -> None:
    flags = {f"test_{name}": "10" * 50 for name in ("clean", "pgd_4", "pgd_8", "pgd_16")}
    first, second = save(tmp_path / "a", flags), save(tmp_path / "b", flags, num_views=8)
    command = f"{sys.executable} -m reports.compare {first} {second} --html {tmp_path / 'page.html'}"
    ended = subprocess.run(["bash", "-c", f"{command} | true"], capture_output=True, text=True, check=True)
    assert ended.stderr == ""


def test_two_trials_are_compared_without_slow_imports(tmp_path: Path) -> None:
    flags = {"test_clean": "10"}
    first, second = save(tmp_path / "a", flags), save(tmp_path / "b", flags)
    script = (
        "import sys; from reports.compare.__main__ import main; "
        f"main([{str(first)!r}, {str(second)!r}, '--html', {str(tmp_path / 'page.html')!r}]); "
        "print(sorted({'torch', 'ray', 'optuna', 'scipy'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"
