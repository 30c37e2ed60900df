"""The paper's numbers, and which of them each configuration of the shipped spaces stands for."""

from pathlib import Path

import pytest

from reports.paper.paper_rows import (
    ITEMS,
    PaperRow,
    inconsistencies,
    item_of,
    paper_rows,
    printed_row,
    rows_of,
    space_of,
)

FOLDER = Path(__file__).resolve().parents[3] / "search_spaces" / "paper"
TABLES = {item: number for item, number in ITEMS.items() if number is not None}
# Item -> the data sets for which the paper prints all its rows.
ITEM_DATASETS = {item: ("cifar10", "cifar100") for item in TABLES} | {"table4_imagenet100": ("imagenet100",)}


def row(table: int, dataset: str, **recipe: object) -> PaperRow:
    """The only row of a table with these cells."""
    (found,) = (
        one
        for one in paper_rows()
        if (one.table, one.dataset) == (table, dataset)
        and {name: str(value) for name, value in recipe.items()}.items() <= one.recipe.items()
    )
    return found


def test_the_paper_has_six_tables() -> None:
    counts = {number: sum(one.table == number for one in paper_rows()) for number in range(1, 8)}
    assert counts == {1: 14, 2: 12, 3: 8, 4: 24, 5: 8, 6: 12, 7: 0}
    assert all(0 <= value <= 100 for one in paper_rows() for name, value in one.values.items() if name != "minutes")


def test_some_numbers_as_printed() -> None:
    """Read off the paper once more, each in another table."""
    cf = {"method": "emp_ssl", "adversary": "free", "replays": 3, "epochs": 10}
    assert row(1, "cifar10", **cf, views="patch").values == {
        "clean": 61.83,
        "pgd_4": 42.28,
        "pgd_8": 21.53,
        "minutes": 97,
    }
    assert row(2, "cifar10", method="emp_ssl", eval_views=32).values["clean"] == 92.85
    assert row(3, "cifar100", method="simclr", probe="central").values["pgd_4"] == 3.58
    assert row(4, "imagenet100", method="emp_ssl", epochs=10).values == {
        "clean": 46.26, "pgd_4": 27.86, "pgd_8": 13.94, "pgd_16": 2.16,
    }  # fmt: skip
    assert row(4, "cifar10", **cf).values["minutes"] == 97
    assert row(5, "cifar100", method="simclr", replays=7).values["pgd_16"] == 5.51
    assert row(6, "cifar10", **cf).values == {"clean": 75.78, "aa_4": 51.52, "aa_8": 27.74, "aa_16": 6.59}


def test_items_are_the_spaces() -> None:
    assert set(ITEMS) == {path.stem for path in FOLDER.glob("[!_]*.py")}


@pytest.mark.parametrize("item", TABLES)
def test_every_row_of_an_item_is_one_row_of_its_table(item: str) -> None:
    for dataset in ITEM_DATASETS[item]:
        found = [printed_row(TABLES[item], dataset, setting) for _, setting in rows_of(item, "paper")]
        assert None not in found
        assert len({id(one) for one in found}) == len(found)


def test_every_row_of_the_paper_has_a_space() -> None:
    mapped = {
        id(printed_row(number, dataset, setting))
        for item, number in TABLES.items()
        for dataset in ITEM_DATASETS[item]
        for _, setting in rows_of(item, "paper")
    }
    assert [one for one in paper_rows() if id(one) not in mapped] == []


@pytest.mark.parametrize("item", ITEMS)
def test_a_laptop_has_the_same_rows_in_the_same_order(item: str) -> None:
    spec = space_of(item)
    for (laptop, setting), (paper, same) in zip(rows_of(item, "laptop"), rows_of(item, "paper"), strict=True):
        small = spec.with_preset("laptop").config(laptop, seed=0)
        assert setting == same == spec.config(paper, seed=0)
        for name in ("method", "adversary", "replays", "pgd_steps", "probe", "view_scale_min", "view_scale_max"):
            assert getattr(small, name) == getattr(setting, name)


@pytest.mark.parametrize("preset", ["paper", "laptop"])
@pytest.mark.parametrize("item", ITEMS)
def test_a_study_is_known_by_its_levels(item: str, preset: str) -> None:
    plain = space_of(item).with_preset(preset).model_dump(mode="json")
    assert item_of(plain | {"name": "renamed"}) == item
    assert item_of(plain | {"factors": [*plain["factors"], {"name": "seed", "levels": None}]}) is None
    assert item_of(plain | {"preset": "laptop" if preset == "paper" else "paper"}) is None


def test_a_recipe_that_the_paper_does_not_have_is_no_row() -> None:
    setting = rows_of("table4", "paper")[1][1]
    printed = printed_row(4, "cifar10", setting)
    assert printed is not None and printed.values["clean"] == 75.78
    for changes in (
        {"replays": 4}, {"epochs": 11}, {"num_views": 8}, {"view_scale_min": 0.1}, {"encoder": "resnet50"},
        {"probe": "central"}, {"adversary": "pgd"},
    ):  # fmt: skip
        assert printed_row(4, "cifar10", setting.replace(**changes)) is None, changes
    assert printed_row(4, "imagenet100", setting) is None
    assert printed_row(4, "cifar10", setting.replace(pgd_steps=7, learning_rate=0.1)) is printed


def test_two_values_of_one_run() -> None:
    cf = {"method": "emp_ssl", "adversary": "free", "views": "crop", "replays": 3, "epochs": 10}
    assert inconsistencies(row(1, "cifar10", **cf)) == {
        "clean": "Table 4 prints 75.78 for the same run; Table 6 prints 75.78 for the same run"
    }
    assert inconsistencies(row(4, "cifar10", **cf)) == {"clean": "Table 1 prints 75.88 for the same run"}
    simclr = {"method": "simclr", "adversary": "pgd", "views": "crop", "probe": "robust_central"}
    assert inconsistencies(row(3, "cifar10", **simclr)) == {"pgd_16": "Table 4 prints 3.3 for the same run"}
    assert inconsistencies(row(4, "cifar10", **simclr)) == {"pgd_16": "Table 3 prints 0.33 for the same run"}
    assert "44.58" in inconsistencies(row(1, "cifar100", **simclr))["clean"]
    assert inconsistencies(row(4, "cifar10", method="emp_ssl", replays=5, epochs=6)) == {}


def test_autoattack_above_pgd() -> None:
    notes = [inconsistencies(one) for one in paper_rows() if one.table == 6]
    assert len(notes) == 12
    assert sum("impossible for a sound AutoAttack" in found.get("aa_16", "") for found in notes) == 10
    copied = row(6, "cifar100", method="emp_ssl", adversary="pgd")
    assert all("same number as PGD-20" in inconsistencies(copied)[name] for name in ("aa_4", "aa_8", "aa_16"))
    assert (
        "higher than at the smaller radius (23.93)"
        in inconsistencies(row(6, "cifar10", method="emp_ssl", adversary="pgd"))["aa_8"]
    )
