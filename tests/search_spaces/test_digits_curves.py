"""The recorded table of recipes by epochs, and the spaces that it is made by and searched in."""

from collections import Counter
from itertools import product

from search_spaces.tables.digits_curves import STUDY, TABLE
from search_spaces.tables.recipes_by_epochs import ADVERSARIES, BOUNDS, EPOCHS, NUM_VIEWS, recipes
from search_spaces.tables.recipes_by_epochs import STUDY as RECORDED
from study.spec.choices import check_space, enumerate_grid

KEYS = list(TABLE.table.keys())
NAMES = tuple(TABLE.table.choices)


def curve(**params: object) -> list[dict[str, float]]:
    (found,) = TABLE.table.repetitions(tuple(params[name] for name in NAMES))
    return found


def test_recipes_are_balanced_over_cells_from_the_first_ones_on() -> None:
    chosen = list(recipes().values())
    cells = [(fields["num_views"], fields["adversary"], fields.get("replays")) for fields in chosen]
    num_cells = len(NUM_VIEWS) * len(ADVERSARIES)
    for first in range(0, len(cells), num_cells):
        assert len(set(cells[first : first + num_cells])) == num_cells
    for name, (low, high) in BOUNDS.items():
        values = [fields[name] for fields in chosen if name in fields]
        assert low <= min(values) < 1.4 * low and high / 1.4 < max(values) <= high
        assert len(set(values)) > 0.9 * len(values)
    assert all(("attack_radius_255" in fields) == (fields["adversary"] == "free") for fields in chosen)
    assert recipes() == recipes()


def test_the_space_that_is_recorded_is_valid_and_goes_recipe_by_recipe() -> None:
    spec = RECORDED.with_preset("laptop")
    check_space(spec)
    first, second, third, fourth = enumerate_grid(spec)[:4]
    assert [params["epochs"] for params in (first, second, third)] == list(EPOCHS)
    assert first["recipe"] == third["recipe"] != fourth["recipe"]


def test_the_table_holds_whole_recipes_in_every_cell() -> None:
    by_recipe = Counter(tuple(v for n, v in zip(NAMES, key, strict=True) if n != "epochs") for key in KEYS)
    assert set(by_recipe.values()) == {len(EPOCHS)}
    cells = {(key[NAMES.index("num_views")], key[NAMES.index("training")]) for key in KEYS}
    assert cells == set(product(NUM_VIEWS, ADVERSARIES))


def test_the_space_that_is_searched_is_valid() -> None:
    check_space(STUDY)
    for key in KEYS:
        params = {name: value for name, value in zip(NAMES, key, strict=True) if value is not None}
        assert TABLE.identity(STUDY.config(params, seed=0)) == TABLE.identity(TABLE.config(**params))
        assert [*TABLE.effective(TABLE.config(**params)).values()][: len(NAMES)] == list(key), "itself is nearest"


def test_longer_trials_were_trained_as_the_shorter_ones_up_to_their_cooldown() -> None:
    """After its first epoch, a trial of two and one of four are the same encoder: evaluations are equal exactly."""
    pairs = 0
    for key in KEYS:
        params = dict(zip(NAMES, key, strict=True))
        if params["epochs"] == 4:
            two, four = curve(**params | {"epochs": 2}), curve(**params)
            assert {n: two[0][n] for n in ("val_clean", "val_pgd_16")} == {
                n: four[0][n] for n in ("val_clean", "val_pgd_16")
            }
            assert two[-1]["trunk_train_pflop"] < four[-1]["trunk_train_pflop"] < four[-1]["train_pflop"]
            pairs += 1
    assert pairs == len(KEYS) / len(EPOCHS)


def test_costs_are_those_of_the_epochs_and_evaluations_are_counted() -> None:
    for key in KEYS:
        params = dict(zip(NAMES, key, strict=True))
        reports = curve(**params)
        assert len(reports) == params["epochs"]
        per_epoch = reports[0]["train_pflop"]
        for epoch, report in enumerate(reports, start=1):
            assert abs(report["train_pflop"] / (epoch * per_epoch) - 1) < 1e-4
            assert report["evaluation_pflop"] > 0
