"""Runs one trial in the terminal, without Ray.

    python -m trainables.run_trial --set num_views=16 --set adversary=free --set replays=3

trains on scikit-learn's digits with the laptop preset; ``--preset paper`` is the paper's recipe on CIFAR-10.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from trainables.datasets import load_data
from trainables.pretrain import TrialDiverged
from trainables.trial import FinalReport, Metrics, Progress, run_trial
from trainables.trial_config import PRESETS, TrialConfig, explain, parse_settings, resolve_paths


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line, runs the trial, prints its metrics; returns the exit code (2: bad input)."""
    options = _parser().parse_args(arguments)
    try:
        settings = parse_settings(options.set)
        given = TrialConfig(**(PRESETS[options.preset] | settings))
        config = resolve_paths(given)
        device = parse_device(options.device)
        if options.output is not None:
            make_folder(Path(options.output))
        data = load_data(config, on_progress=_print_decoding)
    except ValidationError as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for field in sorted(set(given.ineffective_settings()) & set(settings)):
        print(f"warning: {field} has no effect in this config", file=sys.stderr)
    print(f"trial {config.content_hash()}: {config.dataset}, {config.encoder}, {config.method}, {config.adversary}")
    try:
        _run(config, data, device, options.output)
    except (ValueError, TrialDiverged) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse_device(name: str | None) -> torch.device:
    """The device called ``name``; for None ``cuda`` where there is one, else ``cpu``.

    Raises:
        ValueError: where there is no such device here.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"no device {name!r} here: {str(error).splitlines()[0]}") from None
    return device


def make_folder(path: Path) -> None:
    """Makes a folder unless it is there; raises ``ValueError`` where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make the folder {path}: {error.strerror}") from None


def save_result(report: FinalReport, config: TrialConfig, folder: Path) -> None:
    """Writes ``result.json`` (config and metrics), ``flags.npz`` (per image) and ``classifier.pt`` (weights)."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "flags.npz", **report.flags)  # type: ignore[arg-type]
    torch.save(
        {"config": config.content_hash(), "classifier": report.classifier.state_dict()}, folder / "classifier.pt"
    )
    result = {"config": config.model_dump(mode="json"), "metrics": report.metrics}
    (folder / "result.json").write_text(json.dumps(result, indent=2))


def _run(config: TrialConfig, data, device: torch.device, output: str | None) -> None:  # type: ignore[no-untyped-def]
    folder = Path(output) if output else None
    printed_at = time.monotonic()
    checkpoint = folder / "checkpoint.pt" if folder else None
    for report in run_trial(config, data, device, checkpoint_path=checkpoint):
        if isinstance(report, Progress) and time.monotonic() - printed_at > 5:
            print(f"  pretraining {report.share_done:4.0%}, {report.view_passes:,} view passes")
            printed_at = time.monotonic()
        if isinstance(report, FinalReport):
            _print_metrics(report.metrics)
            if folder:
                save_result(report, config, folder)
                print(f"saved to {folder}")


def _print_metrics(metrics: Metrics) -> None:
    for name, value in metrics.items():
        print(f"  {name:28} {value:.4g}" if isinstance(value, float) else f"  {name:28} {value}")


def _print_decoding(done: int, total: int) -> None:
    print(f"\rdecoding images: {done:,} of {total:,}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainables.run_trial", description=__doc__.split("\n")[0])
    parser.add_argument("--preset", choices=PRESETS, default="laptop", help="what --set changes (default: laptop)")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="any field of TrialConfig")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    parser.add_argument("--output", help="folder for result, per-image flags, weights and checkpoint")
    return parser


if __name__ == "__main__":
    sys.exit(main())
