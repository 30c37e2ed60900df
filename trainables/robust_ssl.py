"""Robust self-supervised learning as something that a study can run; ``trainables.trial`` holds the trial itself.

torch is imported only where a trial runs or its data are loaded, so that a study can be described without it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from study.trainable import Context, Direction, Final, Interim, Measured, Metric, Progress, Report, Split, Trainable
from trainables.presets import PRESETS, command_line, preset_fields
from trainables.pretraining.methods import METHODS
from trainables.trial_config import (
    ATTACK_INFIX,
    DATA_FIELDS,
    EARLIER,
    NORMS,
    TrialConfig,
    kept_lengths,
    resolve_paths,
)

if TYPE_CHECKING:
    from trainables.data.datasets import TrialData
    from trainables.pretraining.cost import PassCost

CHECKPOINT_SECONDS = 10.0
ENCODERS = "encoders"  # the folder of those that trials share
# The fields that determine the cost of a view pass, together with each config's counts of views and passes.
NETWORK_FIELDS = tuple(dict.fromkeys(
    ["method", "encoder", "stem", "image_size", "adversary", *(n for m in METHODS.values() for n in m.network_fields)]
))  # fmt: skip
FINETUNING_FIELDS = ("probe", "probe_layer", "probe_loss", "probe_attack_steps", "probe_epochs")
COSTS = (
    Metric("train_pflop", "minimize", "training compute", kind="cost", is_known=True,
           units=((1e3, "EFLOP"), (1, "PFLOP"), (1e-3, "TFLOP"), (1e-6, "GFLOP"))),
    Metric("train_seconds", "minimize", "training time", kind="cost", is_clocked=True,
           units=((3600, "h"), (60, "min"), (1, "s"))),
    Metric("view_passes", "minimize", "training view passes", kind="cost", is_known=True,
           units=((1e9, "billion"), (1e6, "million"), (1e3, "thousand"), (1, ""))),
)  # fmt: skip

WORDS: dict[str, str | dict[str, str]] = {  # of a recipe
    "num_views": "{} views",
    "epochs": "{} epochs",
    "adversary": {
        "none": "standard training",
        "free": "free training",
        "pgd": "PGD training",
        "fgsm": "one-step training",
    },
    "replays": "{} replays",
    "view_scale_min": "smallest crop {:.2f}",
    "precision": {"fp32": "fp32", "bf16": "bf16"},
}


class RobustSSL(Trainable):
    """Self-supervised (adversarial) pretraining, linear probe, attack; progress is counted in view passes."""

    path = "trainables.robust_ssl:ROBUST_SSL"
    config = TrialConfig
    progress = "view_passes"
    examples = "images"
    modules = ("trainables.run_trial", "trainables.pretraining.shared_encoder", "trainables.trial")
    reused = "is_encoder_shared"
    # What is left by the configs that were asked about last: a proposal asks of many candidates about the same ones.
    _left: tuple[Sequence[TrialConfig], tuple[set[str], dict[str, set[float]]]] | None = None
    objectives = ("val_clean", "val_pgd_8", "train_pflop")
    presets = PRESETS
    data_fields = DATA_FIELDS
    example_fields = {
        "val": ("probed_dataset", "image_size", "split_seed", "eval_samples", "validation_fraction"),
        "test": ("probed_dataset", "image_size", "split_seed", "eval_samples"),
    }
    location_fields = ("data_root", "probe_data_root")
    evaluation_fields = (
        "eval_losses", "eval_pgd_steps", "eval_step_255", "eval_restarts", "eval_eot_samples", "probe_threat",
        "eval_corruptions", "eval_knn_neighbours",
    )  # fmt: skip
    earlier = EARLIER
    traded = ("num_views", "epochs")
    words = WORDS
    grouping = ("adversary", "method")
    confirmation = {
        "": {"eval_autoattack_samples": 1000, "eval_checks": "all"},
        "laptop": {"eval_autoattack_samples": 20, "eval_checks": "all"},  # 20: a minute
        "mini": {"eval_autoattack_samples": 200, "eval_checks": "all"},
    }
    confirmation_fields = tuple(n for n in TrialConfig.model_fields if n.startswith("eval_") and n != "eval_samples")
    sections = {
        "checks": "reports.attack.check_sections:check_sections",
        "attacks": "reports.attack.attack_links:attack_links",
    }
    asked_sections = {"paper": "reports.paper.paper_table:paper_sections"}

    def metrics(self, config: TrialConfig) -> Sequence[Metric]:
        """Accuracies on both splits, clean and by radius, and of neighbours; costs."""
        found, losses = [*COSTS], " and ".join(losses_in_words(config))
        for split in ("val", "test"):
            found.append(_accuracy(split, "clean", "clean accuracy", is_interim=split == "val"))
            at_rungs = config.rung_radii_255 if split == "val" else ()
            for radius in dict.fromkeys([*config.eval_radii_255, *at_rungs]):
                words = f"robust accuracy, PGD-{config.eval_pgd_steps} ({losses}) at {radius:g}/255"
                is_final, is_interim = radius in config.eval_radii_255, radius in at_rungs
                found.append(_accuracy(split, f"pgd_{radius:g}", words, is_interim=is_interim, is_final=is_final,
                                       is_headline=True))  # fmt: skip
            if config.eval_knn_neighbours is not None:
                words = f"k-NN accuracy, k = {config.eval_knn_neighbours}"
                found.append(_accuracy(split, "knn", words, is_interim=split == "val"))
            for radius in config.eval_l2_radii_255:
                words = f"robust accuracy, l2 PGD-{config.eval_pgd_steps} ({losses}) at {radius:g}/255"
                found.append(_accuracy(split, f"pgd_l2_{radius:g}", words, is_interim=False, is_headline=True))
        for split, norm in product(config.autoattack_splits(), NORMS):
            for radius in config.final_radii_255(norm):
                words = f"robust accuracy, {'l2 ' if norm == 'l2' else ''}AutoAttack at {radius:g}/255"
                twin = (
                    _twin(split, f"aa_{ATTACK_INFIX[norm]}{radius:g}") if config.eval_autoattack_split == "both" else ""
                )
                found.append(Metric(f"{split}_aa_{ATTACK_INFIX[norm]}{radius:g}", "maximize", words, "%", "share",
                                    split=split, twin=twin, count=f"{split}_aa_n", is_interim=False))  # fmt: skip
        for split in config.corrupted_splits():
            words = f"accuracy under common corruptions, {config.eval_corruptions}"
            twin = _twin(split, "corrupted") if len(config.corrupted_splits()) == 2 else ""
            found.append(Metric(f"{split}_corrupted", "maximize", words, "%", split=split, twin=twin, is_interim=False))
        return found

    def run(self, config: TrialConfig, data: "TrialData", context: Context) -> Iterator[Report]:
        """See ``trainables.trial.run_trial``."""
        import torch

        from trainables.memory import cap_device
        from trainables.pretraining.shared_encoder import encoder_name
        from trainables.run_trial import save_classifier
        from trainables.trial import FinalReport, InterimReport, run_trial

        torch.set_num_threads(context.num_threads)
        device = torch.device(context.device)
        cap_device(context.gpu_share, device)
        encoder = None
        if context.shared_folder is not None:
            encoder = context.shared_folder / ENCODERS / encoder_name(config, data.pretraining_checksum, device.type)
        measured: list[dict[str, float]] = []
        for report in run_trial(
            config,
            data,
            device,
            num_processes=context.num_processes,
            milestones=context.milestones,
            checkpoint_path=context.checkpoint_path,
            checkpoint_seconds=CHECKPOINT_SECONDS,
            encoder_path=encoder,
            on_measured=measured.append,
        ):
            yield from map(Measured, measured)
            measured.clear()
            match report:
                case InterimReport(metrics=metrics):
                    yield Interim(metrics)
                case FinalReport(metrics=metrics, flags=flags, classifier=classifier):
                    yield Final(metrics, flags, partial(save_classifier, classifier, config))
                case _:
                    yield Progress(report.share_done)

    def total_progress(self, config: TrialConfig, scale: int) -> int:
        """The view passes of the whole pretraining; ``scale`` is the number of training images."""
        return scale * sum(stage.epochs * stage.view_passes_per_image() for stage in config.stages())

    def scale(self, data: "TrialData") -> int:
        """The number of images in the pretraining."""
        return len(data.pretraining.labels)

    def load_data(self, config: TrialConfig, on_progress: Callable[[int, int], None] | None = None) -> "TrialData":
        """The images, decoded and split."""
        from trainables.data.datasets import load_data

        return load_data(config, on_progress)

    def needed_bytes(self, config: TrialConfig) -> int:
        """See ``trainables.memory.least_training_bytes``."""
        from trainables.memory import least_training_bytes
        from trainables.pretraining.encoders import build_encoder

        return max(least_training_bytes(build_encoder(one, 0, 10), one) for one in config.stages())

    def data_here(self, data: "TrialData", config: TrialConfig) -> "TrialData":
        """The images, decoded again where this machine does not have their files."""
        from trainables.data.datasets import available_here

        return available_here(data, config)

    def data_name(self, config: TrialConfig) -> str:
        """The data set of the pretraining, and that of the probe if there is transfer."""
        is_transfer = config.probed_data != (config.dataset, config.data_root)
        return f"{config.dataset} to {config.probed_dataset}" if is_transfer else config.dataset

    def data_checksum(self, data: "TrialData") -> str:
        """Of all decoded images and labels."""
        return data.checksum

    def examples_checksum(self, data_checksum: str) -> str:
        """Of the images of probe and evaluation alone, whatever the encoder was pretrained on."""
        return data_checksum.rpartition("+")[2]

    def require_fitting(self, config: TrialConfig, data: "TrialData") -> None:
        """Raises ``ValueError`` if there are too few images or classes."""
        from trainables.trial import require_fitting

        require_fitting(config, data)

    def require_processes(self, config: TrialConfig, num_processes: int) -> None:
        """Raises ``ValueError`` unless they can share every batch."""
        import torch

        from trainables.pretraining.data_parallel import require_processes

        require_processes(config, num_processes, torch.device("cpu"))

    def effective(self, config: TrialConfig) -> dict[str, Any]:
        """See ``TrialConfig.effective``."""
        return config.effective()

    def identity(self, config: TrialConfig) -> str:
        """See ``TrialConfig.content_hash``."""
        return config.content_hash()

    def prefix(self, config: TrialConfig) -> str:
        """Trials that differ in probe and evaluation alone share their encoder."""
        return config.pretraining_hash()

    def known_metrics(self, config: TrialConfig) -> Mapping[str, float]:
        """Compute of pretraining and full fine-tuning, and view passes of pretraining, per training image.

        A full fine-tuning is counted as if on as many images as the pretraining.
        """
        known = _pretraining_costs(config.stages(), [stage.epochs for stage in config.stages()])
        return known | {"train_pflop": known["train_pflop"] + _finetuning_pflop(config)}

    def reusable(self, config: TrialConfig, others: Sequence[TrialConfig]) -> Mapping[str, float]:
        """Costs of the pretraining if one of ``others`` shares its encoder, else of the teacher's, or of the trunk.

        A cooldown is taken to begin at exactly its share of the epochs: how many batches they have is not known here.
        """
        if self._left is None or self._left[0] is not others or not isinstance(others, tuple):
            self._left = others, _left_by_all(others)
        own, (encoders, trunks) = _left_by(config), self._left[1]
        if own.encoders[-1] in encoders:
            epochs: list[float] = [stage.epochs for stage in config.stages()]
        else:
            earlier = config.stages()[:-1]
            kept = trunks.get(own.trunk or "", set())
            trunk = max((point for point in kept if point <= own.branch_epochs[-1]), default=0.0)
            shared = [name in encoders for name in own.encoders[:-1]]
            epochs = [stage.epochs * is_shared for stage, is_shared in zip(earlier, shared, strict=True)] + [trunk]
        return _pretraining_costs(config.stages(), epochs) if any(epochs) else {}

    def discard_shared(self, config: TrialConfig, shared_folder: Path) -> None:
        """The trunk; encoders are kept, as other studies may use them."""
        from trainables.pretraining.shared_trunk import discard_trunk

        discard_trunk(config, shared_folder / ENCODERS)

    def located(self, config: TrialConfig) -> TrialConfig:
        """``data_root`` and ``probe_data_root`` become absolute."""
        return resolve_paths(config)

    def preset_fields(self, preset: str, base: TrialConfig) -> dict[str, Any]:
        """The preset without numbers of views that a method fixes; a teacher has its views and epochs, too."""
        return preset_fields(preset, base.method, base.teacher_method) if preset in PRESETS else {}

    def implied(self, preset: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The laptop preset shrinks digits to 16 pixels; photographs keep the paper's 32."""
        chosen = {changes.get(name) for name in ("dataset", "probe_dataset")}
        return {"image_size": 32} if preset == "laptop" and chosen - {None, "digits"} else {}

    def describe(self, config: TrialConfig) -> str:
        """Data, size of the images, network, batch."""
        size = config.image_size
        return f"{self.data_name(config)} at {size}x{size}, {config.encoder}, batch {config.batch_size}"

    def command(self, config: TrialConfig) -> str:
        """``python -m trainables.run_trial`` with the settings that differ from a preset."""
        return command_line(config)

    def model(self, config: TrialConfig, folder: Path) -> tuple[Any, Any] | None:
        """The attacked classifier: images (N, 3, S, S) in [0, 1] to logits; the example is made of random pixels.

        None for the probe ``n_views``, which draws other views in each call: a saved graph would repeat the same ones.
        """
        import numpy as np
        import torch

        from trainables.run_trial import CLASSIFIER_NAME, load_classifier

        if config.probe == "n_views" or not (folder / CLASSIFIER_NAME).is_file():
            return None
        pixels = np.random.default_rng(0).random((2, 3, config.image_size, config.image_size), dtype=np.float32)
        return load_classifier(folder, config, torch.device("cpu")), pixels


def losses_in_words(config: TrialConfig) -> list[str]:
    """What PGD ascends in the evaluation of ``config``."""
    return [loss.replace("_", "-") for loss in config.eval_losses]


def _accuracy(
    split: Split, name: str, label: str, *, is_interim: bool, is_final: bool = True, is_headline: bool = False
) -> Metric:
    direction: Direction = "maximize"
    twin = _twin(split, name)
    return Metric(f"{split}_{name}", direction, label, "%", "share", split=split, twin=twin, count=f"{split}_n",
                  is_interim=is_interim, is_final=is_final, is_headline=is_headline)  # fmt: skip


_counted: dict[tuple[Any, ...], Any] = {}  # costs, by the fields that decide them


def _twin(split: Split, name: str) -> str:
    return f"{'test' if split == 'val' else 'val'}_{name}"


def _pass_cost(config: TrialConfig) -> "PassCost":
    """The cost of a view pass through a network, counted once; it hardly depends on the number of classes."""
    from trainables.pretraining.cost import count_pass_cost
    from trainables.pretraining.encoders import build_encoder
    from trainables.pretraining.second_networks import build_second_network

    key = tuple(getattr(config, name) for name in NETWORK_FIELDS)
    if key not in _counted:
        encoder = build_encoder(config, 0, 10)
        _counted[key] = count_pass_cost(encoder, config, build_second_network(encoder, config))
    cost: PassCost = _counted[key]
    return cost


def _pretraining_costs(stages: Sequence[TrialConfig], epochs: Sequence[float]) -> dict[str, float]:
    """Compute and view passes of ``epochs`` data epochs of each stage, per training image."""
    from trainables.pretraining.cost import train_pflop_per_batch

    pairs = [*zip(stages, epochs, strict=True)]
    return {
        "train_pflop": sum(number * train_pflop_per_batch(stage, _pass_cost(stage), 1) for stage, number in pairs),
        "view_passes": float(sum(number * stage.view_passes_per_image() for stage, number in pairs)),
    }


class _Left(NamedTuple):
    """What a trial that has run to its end leaves to others."""

    encoders: tuple[str, ...]  # hashes of the pretrainings, one for each stage
    trunk: str | None  # hash
    branch_epochs: tuple[float, ...]  # after which it has kept states of the trunk; the last is its own branch point


@cache
def _left_by(config: TrialConfig) -> _Left:
    constant = 1 - config.cooldown_share
    # Rounded, as one share of one length may be another's of another length.
    kept = tuple(round(constant * length, 9) for length in kept_lengths(config.epochs))
    return _Left(tuple(stage.pretraining_hash() for stage in config.stages()), config.trunk_hash(), kept)


def _left_by_all(configs: Sequence[TrialConfig]) -> tuple[set[str], dict[str, set[float]]]:
    """The hashes of all pretrainings that are left, and hash -> branch epochs of the trunks."""
    encoders, trunks = set[str](), dict[str, set[float]]()
    for one in map(_left_by, configs):
        encoders.update(one.encoders)
        if one.trunk is not None:
            trunks.setdefault(one.trunk, set()).update(one.branch_epochs)
    return encoders, trunks


def _finetuning_pflop(config: TrialConfig) -> float:
    """The cost of a full fine-tuning, for each of its images, counted once; 0 for other probes."""
    from trainables.pretraining.cost import finetuning_pflop
    from trainables.pretraining.encoders import build_encoder

    key = tuple(getattr(config, name) for name in (*NETWORK_FIELDS, *FINETUNING_FIELDS))
    if key not in _counted:
        _counted[key] = finetuning_pflop(build_encoder(config, 0, 10), config)
    return float(_counted[key])


ROBUST_SSL = RobustSSL()
