"""What the paper calls its rows and columns."""

from collections.abc import Mapping, Sequence

from reports.paper.paper_rows import PaperRow

MEASURES = {
    "clean": "Clean", "pgd_4": "PGD (4/255)", "pgd_8": "PGD (8/255)", "pgd_16": "PGD (16/255)",
    "aa_4": "AA (4/255)", "aa_8": "AA (8/255)", "aa_16": "AA (16/255)",
}  # fmt: skip
METHODS = {"emp_ssl": "EMP-SSL", "simclr": "SimCLR", "supervised": "Supervised"}
PROBES = {
    "central": "central crop", "robust_central": "robust central crop", "n_views": "{} views",
}  # fmt: skip


def paper_name(row: PaperRow, table: Sequence[PaperRow]) -> str:
    """A row as the paper writes it; with its linear classifier where the rows of ``table`` have several.

    Example:
        >>> from reports.paper.paper_rows import paper_rows
        >>> rows = [row for row in paper_rows() if (row.table, row.dataset) == (4, "cifar10")]
        >>> paper_name(rows[1], rows)
        'CF-AMC-SSL (16 crops, m=3, 10 epochs)'
    """
    recipe = row.recipe
    views = recipe.get("views", "")
    parts = (
        [f"{recipe['num_views']} {views}{'e' if views == 'patch' else ''}s"] if views and "num_views" in recipe else []
    )
    parts += [f"{recipe['pgd_steps']}-step PGD"] if "pgd_steps" in recipe else []
    parts += [f"m={recipe['replays']}"] if "replays" in recipe else []
    parts += [f"{recipe['epochs']} epochs"] if "epochs" in recipe else []
    known = [one.recipe for one in table if one.recipe.get("probe") in PROBES]  # a supervised one has a head of its own
    probes = {(one["probe"], one.get("eval_views")) for one in known}
    probe = PROBES.get(recipe.get("probe", ""), "").format(recipe.get("eval_views", ""))
    parts += [probe] if len(probes) > 1 and probe else []
    return f"{_model(recipe)} ({', '.join(parts)})"


def _model(recipe: Mapping[str, str]) -> str:
    method, views = METHODS[recipe["method"]], recipe.get("views", "")
    if recipe.get("adversary") != "free":
        return f"{views.capitalize()}-based {method}" if views else method
    if recipe["method"] == "emp_ssl":
        return "CF-AMC-SSL" if views == "crop" else "Patch-based EMP-FreeAdv"
    return f"{method}-FreeAdv"
