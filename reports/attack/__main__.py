"""Shows what the evaluation's attack does to a trial: attacked test images, and accuracy against the radius.

    python -m reports.attack runs/crops_vs_epochs t0003
    python -m reports.attack runs/crops_vs_epochs t0003 --radius 4 --samples 100
    python -m reports.attack runs/crops_vs_epochs t0003 --checks
    python -m reports.attack runs/crops_vs_epochs --checks
    python -m reports.attack one_trial

For a complete trial of a study, the page is ``report/attack_<trial>.html`` in the study's folder, and an artifact of
the trial's run if the study has an MLflow store. For a trial without a study, it is ``attack.html`` in its folder.

Without a trial, ``--checks`` makes all checks of the attack on every trial of the study's front; the study's report
shows them when it is built again.

Exit status: 0 if the page was written or the front passed, 1 if a trial of the front failed a check, 2 if the folder
holds no such trial or its images are not found.
"""

import argparse
import sys
from pathlib import Path

from reports.attack.chosen_trial import ChosenTrial, choose_trial
from study.record.journal import JOURNAL_NAME


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line, attacks, writes the page and logs it."""
    options = _parser().parse_args(arguments)
    try:
        if options.radius is not None and not 0 < options.radius <= 255:
            raise ValueError(f"--radius must be within (0, 255]: {options.radius:g}")
        if options.samples is not None and options.samples < 1:
            raise ValueError(f"--samples must be at least 1: {options.samples}")
        if options.checks and options.trial is None and (options.folder / JOURNAL_NAME).is_file():
            return _check_front(options)
        chosen = choose_trial(options.folder, options.trial)
        _write(chosen, options)
    except (ValueError, OSError) as error:
        print(f"reports.attack: {error}", file=sys.stderr)
        return 2
    print(chosen.page_path)
    if chosen.study_dir is not None:
        from study.tracking.artifacts import log_to_trial

        print(log_to_trial(chosen.study_dir, chosen.uid, chosen.page_path))
    return 0


def _check_front(options: argparse.Namespace) -> int:
    from reports.attack.front_checks import check_front
    from trainables.run_trial import parse_device

    failed = check_front(options.folder, parse_device(options.device), print)
    return int(any(failed.values()))


def _write(chosen: ChosenTrial, options: argparse.Namespace) -> None:
    # Not at the top: --help and the refusal of a folder need no torch.
    from reports.attack.attack_page import attack_page
    from reports.page.page import write_page
    from trainables.run_trial import parse_device

    device = parse_device(options.device)
    page = attack_page(chosen, device, print, options.radius, options.samples, with_checks=options.checks)
    write_page(page, chosen.page_path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reports.attack", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="runs/<study>, or the folder of a trial")
    parser.add_argument("trial", nargs="?", help="which trial of the study, e.g. t0003")
    parser.add_argument("--radius", type=float, metavar="R", help="of the images shown, in 1/255 (default: the middle "
                        "one of the evaluation)")  # fmt: skip
    parser.add_argument("--samples", type=int, metavar="N", help="attack the first N test images alone (default: all "
                        "that the evaluation used)")  # fmt: skip
    parser.add_argument("--checks", action="store_true", help="make all checks of the attack, on validation images; "
                        "without a trial, on the study's front")  # fmt: skip
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
