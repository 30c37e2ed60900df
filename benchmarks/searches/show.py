"""The table and the figure of ``docs/results/search_efficiency.md``, from the file of runs.

    python -m benchmarks.searches.show
    python -m benchmarks.searches.show --figure docs/results/search_efficiency.png

The figure is drawn by Plotly and photographed by a Chromium (``pip install playwright``).
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from benchmarks.searches.measures import Judgement, against_best, by_search, judge, ratio, regret
from benchmarks.searches.results import RESULTS, read_runs
from benchmarks.searches.tables import search_problem
from benchmarks.searches.targets import targets
from study.record.environment import git_revision

RANDOM = "random"
SHARES = np.geomspace(0.005, 1.5, 60)
WIDTH, HEIGHT = 900, 520


def searches_table(judged: Sequence[Judgement], ours: str) -> str:
    """For each search: its compute relative to random search, and that of ``ours`` relative to it, on shared runs."""
    compute, trials = by_search(judged), by_search(judged, "trials")
    tables = sorted({one.run.table for one in judged})
    lines = [
        f"| search | runs | tables | reached | compute / random's | trials / random's | compute of {ours} / its | "
        "s per trial |",
        "|---|---|---|---|---|---|---|---|",
    ]
    names = sorted(compute, key=lambda name: (r := ratio(compute, name, RANDOM, tables)) is None or r.mean)
    for name in names:
        of = [one for one in judged if one.run.search == name]
        reached = np.mean([one.effort.is_reached for one in of])
        seconds = sum(one.run.proposing_seconds for one in of) / sum(len(one.run.rows) for one in of)
        cells = [
            "1" if name == RANDOM else str(ratio(compute, name, RANDOM, tables)),
            "1" if name == RANDOM else str(ratio(trials, name, RANDOM, tables)),
            "–" if name == ours else str(ratio(compute, ours, name, tables)),
        ]
        lines.append(
            f"| {name} | {len(of)} | {len(compute[name])} | {reached:.0%} | "
            + " | ".join(cells)
            + f" | {seconds:.2g} |"
        )
    return "\n".join(lines)


def tables_table(judged: Sequence[Judgement]) -> str:
    """For each table and search: the geometric mean of the compute to the target, in percent of the budget."""
    shares: dict[tuple[str, str], list[float]] = {}
    for one in judged:
        shares.setdefault((one.run.table, one.run.search), []).append(one.share)
    names = sorted({one.run.search for one in judged})
    lines = ["| table | " + " | ".join(names) + " |", "|---" * (1 + len(names)) + "|"]
    for table in sorted({one.run.table for one in judged}):
        cells = [
            f"{100 * np.exp(np.mean(np.log(of))):.1f}% ({len(of)})" if (of := shares.get((table, name))) else "–"
            for name in names
        ]
        lines.append(f"| {table} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def best_peers(judged: Sequence[Judgement], ours: str) -> str:
    """What ``ours`` needs of what the best peer of each table needs: a line for each table, and over all of them."""
    compute = by_search(judged)
    peers = [name for name in compute if name != RANDOM and not name.startswith("ours_")]
    found = {table: against_best(compute, ours, peers, table) for table in sorted({one.run.table for one in judged})}
    known = {table: pair for table, pair in found.items() if pair is not None}
    lines = [f"| table | best peer | compute of {ours} / its | seeds |", "|---|---|---|---|"]
    lines += [f"| {table} | {peer} | {its} | {its.pairs} |" for table, (peer, its) in known.items()]
    if known:
        mean = np.exp(np.mean([np.log(its.mean) for _, its in known.values()]))
        lines.append(f"| geometric mean | | {mean:.2f} | |")
    return "\n".join(lines)


def figure(judged: Sequence[Judgement]) -> go.Figure:
    """Regret against compute, a line for each search, on the tables and seeds that all of them have run."""
    names = sorted({one.run.search for one in judged})
    shared = set.intersection(*({one.run.key[1:] for one in judged if one.run.search == name} for name in names))
    drawn = go.Figure()
    for name in names:
        runs = [one for one in judged if one.run.search == name and one.run.key[1:] in shared]
        drawn.add_scatter(
            x=100 * SHARES,
            y=regret(runs, list(SHARES)),
            name=name,
            mode="lines",
            line_width=4 if name.startswith("ours") else 2,
        )
    drawn.update_xaxes(type="log", title="compute, % of 40 mean trials", tickvals=[0.5, 1, 2, 5, 10, 20, 50, 100])
    title = "regret: hypervolume over ranks that is missing"
    drawn.update_yaxes(type="log", title=title, tickvals=[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1])
    drawn.update_layout(
        template="plotly_white",
        width=WIDTH,
        height=HEIGHT,
        title=f"{len(shared)} runs of each search on {len({table for table, _ in shared})} tables",
    )
    return drawn


def photograph(drawn: go.Figure, path: Path) -> None:
    """Writes a figure as a picture."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_path = Path(folder) / "figure.html"
        drawn.write_html(page_path, include_plotlyjs=True)
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page(viewport={"width": WIDTH + 20, "height": HEIGHT + 20})
        page.goto(page_path.as_uri())
        page.locator(".plotly-graph-div .main-svg").first.wait_for(state="attached")
        page.locator(".plotly-graph-div").screenshot(path=path)
        browser.close()


def main() -> None:
    """Prints the tables, or writes the figure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.searches.show", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--ours", default="ours_tpe", help="the search of ours that is compared with all")
    parser.add_argument("--searches", nargs="+", help="only these; the figure needs seeds that all of them have")
    parser.add_argument("--below", type=int, default=10**9, metavar="SEED", help="only seeds below this one")
    parser.add_argument("--figure", type=Path, metavar="PNG")
    options = parser.parse_args()
    wanted = [run for run in read_runs(options.results) if run.seed < options.below]
    runs = [run for run in wanted if not options.searches or run.search in options.searches]
    judged = [judge(run, search_problem(run.table), targets()[run.table]) for run in runs]
    if options.figure is not None:
        photograph(figure(judged), options.figure)
        return
    print(f"revision {git_revision()}, {len(runs)} runs\n")
    print(searches_table(judged, options.ours) + "\n\n" + tables_table(judged) + "\n")
    print(best_peers(judged, options.ours))


if __name__ == "__main__":
    main()
