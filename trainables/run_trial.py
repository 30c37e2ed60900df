"""Runs one trial in the terminal, without Ray.

    python -m trainables.run_trial --set num_views=16 --set adversary=free --set replays=3

trains on scikit-learn's digits with the laptop preset; ``--preset paper`` is the paper's recipe on CIFAR-10, and
``--preset authors`` the same with pretraining as the authors' code does it.
"""

import argparse
import sys
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import nn
from torch.nn.utils import skip_init

from study.files import make_folder, replacing
from study.record.curves import CurveFile
from study.record.trial_folder import save_result
from study.settings import explain, parse_settings
from study.trainable import CHECKPOINT_NAME, ProcessLost
from trainables.data.datasets import load_data
from trainables.evaluation.probe import ProbedClassifier
from trainables.presets import PRESETS, preset_fields
from trainables.pretraining.encoders import HeadedEncoder, build_encoder
from trainables.pretraining.pretrain import TrialDiverged
from trainables.robust_ssl import ROBUST_SSL
from trainables.trial import FinalReport, Progress, run_trial
from trainables.trial_config import TrialConfig, resolve_paths
from trainables.trial_terminal import ProgressLine, print_metrics
from trainables.whole_files import DamagedFile, load_state

CLASSIFIER_NAME = "classifier.pt"


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line, runs the trial, prints its metrics; returns the exit code (2: bad input)."""
    options = _parser().parse_args(arguments)
    try:
        settings = parse_settings(options.set, TrialConfig)
        methods = (str(settings.get(n, TrialConfig.model_fields[n].default)) for n in ("method", "teacher_method"))
        given = TrialConfig(**(preset_fields(options.preset, *methods) | settings))
        config = resolve_paths(given)
        device = parse_device(options.device)
        if options.output is not None:
            make_folder(Path(options.output))
        data = load_data(config, on_progress=print_decoding)
    except ValidationError as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for field in sorted(set(given.ineffective_settings()) & set(settings)):
        print(f"warning: {field} has no effect in this config", file=sys.stderr)
    print(f"trial {config.content_hash()}: {config.dataset}, {config.encoder}, {config.method}, {config.adversary}")
    folder = Path(options.output) if options.output is not None else None
    try:
        _run(config, data, device, options.processes, folder)
    except KeyboardInterrupt:
        how = (
            "the same command goes on where its last checkpoint was" if folder else "nothing was kept without --output"
        )
        print(f"interrupted; {how}", file=sys.stderr)
        return 130
    except (ValueError, TrialDiverged, ProcessLost, MemoryError, torch.OutOfMemoryError) as error:
        message, *_ = str(error).splitlines() or ["out of memory"]
        print(f"error: {message}", file=sys.stderr)
        return 1
    return 0


def parse_device(name: str | None) -> torch.device:
    """The device called ``name``; for None ``cuda`` if there is one, else ``cpu``.

    Raises:
        ValueError: if there is no such device here.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"no device {name!r} here: {str(error).splitlines()[0]}") from None
    return device


def save_classifier(classifier: ProbedClassifier, config: TrialConfig, folder: Path) -> None:
    """Writes ``classifier.pt``, the weights of a finished trial."""
    with replacing(folder / CLASSIFIER_NAME) as unfinished:
        torch.save({"config": config.content_hash(), "classifier": classifier.state_dict()}, unfinished)


def load_classifier(folder: Path, config: TrialConfig, device: torch.device) -> ProbedClassifier:
    """The classifier that ``save_classifier`` wrote into ``folder``, in evaluation mode and with frozen parameters.

    It reproduces the trial's numbers: the weights have the same memory layout as they had there. No random generator is
    touched.

    Raises:
        ValueError: if there are no weights, or they are damaged or belong to a config other than ``config``.
    """
    path = folder / CLASSIFIER_NAME
    if not path.is_file():
        raise ValueError(f"no weights in {folder}: it has no {CLASSIFIER_NAME}")
    try:
        saved = load_state(path)
        config_hash, weights = saved["config"], saved["classifier"]
    except (DamagedFile, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no weights of a trial, or damaged ones: {type(error).__name__}") from None
    if config_hash != config.content_hash():
        raise ValueError(f"{path} is of another config than the result beside it, or of another version")
    num_classes, num_features = weights["head.weight"].shape
    encoder = build_encoder(config, 0, num_classes).to(memory_format=torch.channels_last)
    head = skip_init(nn.Linear, num_features, num_classes)
    if isinstance(encoder, HeadedEncoder) and config.probe == "own_head":
        head = encoder.head
    classifier = ProbedClassifier(encoder, head, config)
    classifier.load_state_dict(weights)
    return classifier.to(device).eval().requires_grad_(False)


def _run(  # type: ignore[no-untyped-def]
    config: TrialConfig, data, device: torch.device, num_processes: int, folder: Path | None
) -> None:
    curve = CurveFile(folder, ROBUST_SSL.progress) if folder else None
    is_pretraining = True
    with ProgressLine() as line:

        def on_step(what: str, share: float) -> None:
            nonlocal is_pretraining
            is_pretraining = False
            line.show(what, share)

        for report in run_trial(
            config,
            data,
            device,
            num_processes=num_processes,
            checkpoint_path=folder / CHECKPOINT_NAME if folder else None,
            on_measured=curve.add if curve else lambda row: None,
            on_step=on_step,
        ):
            if isinstance(report, Progress) and is_pretraining:
                line.show("pretraining", report.share_done, f"{report.view_passes:,} view passes")
    assert isinstance(report, FinalReport)
    print_metrics(report.metrics, ROBUST_SSL.metrics(config))
    if folder:
        save_classifier(report.classifier, config, folder)
        save_result(folder, TrialConfig.trainable, config.model_dump(mode="json"), report.metrics, report.flags)
        print(f"saved to {folder}")


def print_decoding(done: int, total: int) -> None:
    """Shows, on one line of standard error, how many images have been decoded; to be passed to ``load_data``."""
    print(f"\rdecoding images: {done:,} of {total:,}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainables.run_trial", description=__doc__.split("\n")[0])
    parser.add_argument("--preset", choices=PRESETS, default="laptop", help="what --set changes (default: laptop)")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="any field of TrialConfig")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N", help="that pretrain together, on cuda a GPU each (default: 1)"
    )
    parser.add_argument("--output", help="folder for result, curve, per-image flags, weights and checkpoint")
    return parser


if __name__ == "__main__":
    sys.exit(main())
