"""The configuration of one trial: what is pretrained, probed and attacked.

``TrialConfig()`` is the paper's CF-AMC-SSL recipe on CIFAR-10. Every field is named with its unit or scope; the fields
marked 'fidelity' are choices that the paper and its code leave open, each explained in ``docs/fidelity.md``.
"""

import math
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from study.settings import content_hash, replaced
from trainables.pretraining.methods import METHODS, MethodName, fields_of_others

Adversary = Literal["none", "pgd", "free", "fgsm"]
Augmentation = Literal["emp_ssl", "simclr", "padded_crop", "none"]

Norm = Literal["linf", "l2"]
NORMS: tuple[Norm, ...] = ("linf", "l2")
ATTACK_INFIX: dict[Norm, str] = {"linf": "", "l2": "l2_"}  # in the names of metrics, after the attack
Split = Literal["val", "test"]

CORRUPTED_FOLDERS = {"cifar10": "CIFAR-10-C", "cifar100": "CIFAR-100-C"}
MAX_CORRUPTED_SIZE = 64  # pixels: severities are those for 32, on images of 224 they would hardly be seen
NORM_FIELDS = {  # field -> the field that names its norm
    "attack_radius_255": "attack_norm", "attack_step_255": "attack_norm",
    "probe_attack_radius_255": "probe_attack_norm", "probe_attack_step_255": "probe_attack_norm",
}  # fmt: skip
# The step of the paper's code is 0.01 on a [0, 1] scale, hence 2.55/255.
PAPER_STEP_255 = 2.55
# The fields that decide which images a trial sees, in training or in evaluation.
DATA_FIELDS = (
    "dataset", "data_root", "image_size", "train_images", "validation_fraction", "split_seed", "eval_samples",
    "probe_dataset", "probe_data_root", "probe_train_images",
)  # fmt: skip


class TrialConfig(BaseModel):
    """One trial: (self-supervised, adversarial) pretraining, probe or fine-tuning, attack. Frozen, validated, hashable.

    Radii and steps are in units of 1/255 of the pixel range, l-infinity unless a field says otherwise; an l2 radius is
    of the whole image, so that 127.5 is 0.5. Pixels are in [0, 1], not normalised.

    Raises:
        pydantic.ValidationError: naming field, rule and value, for any impossible value or unknown field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    trainable: ClassVar[str] = "trainables.robust_ssl:ROBUST_SSL"

    # Data.
    dataset: Literal["digits", "cifar10", "cifar100", "stl10", "stl10_unlabeled", "imagefolder"] = Field(
        "cifar10", description="images of the pretraining; stl10_unlabeled: the 100,000 without labels"
    )
    data_root: str = Field(
        "data", description="where the dataset's files are (downloaded to, for cifar10, cifar100 and stl10)"
    )
    image_size: int = Field(32, ge=8, le=512, description="side of images and of views, pixels")
    train_images: int | None = Field(None, ge=20, description="stratified cap on training images; none: all")
    validation_fraction: float = Field(0.1, gt=0, lt=0.9, description="share of the training images held out for val_*")
    split_seed: int = Field(0, ge=0, description="seed of the validation split and of every image cap")

    # Views.
    num_views: int = Field(16, ge=1, le=256, description="views per image")
    view_scale_min: float = Field(0.08, gt=0, le=1, description="smallest share of the image's area in a view")
    view_scale_max: float = Field(1.0, gt=0, le=1, description="largest share of the image's area in a view")
    view_ratio_min: float = Field(3 / 4, gt=0, description="smallest aspect ratio, width to height")
    view_ratio_max: float = Field(4 / 3, gt=0, description="largest aspect ratio, width to height")
    augmentation: Augmentation = Field(
        "emp_ssl",
        description="padded_crop: shifts by an eighth of the side at most and flips, in place of scaled crops",
    )
    augmentation_decay: Literal["none", "linear"] = Field(
        "none", description="linear: crops and colours weaken in equal steps towards the plain image"
    )
    augmentation_decay_period: int = Field(1, ge=1, description="data epochs from step to step of the linear decay")

    # Method.
    method: MethodName = "emp_ssl"
    invariance_weight: float = Field(200.0, ge=0)
    coding_rate_weight: float = Field(1.0, ge=0)
    coding_rate_eps2: float = Field(0.2, gt=0, description="squared distortion of the total coding rate")
    temperature: float = Field(0.07, gt=0, description="of NT-Xent")
    barlow_lambda: float = Field(5e-3, ge=0, description="weight of Barlow Twins' redundancy reduction")
    vicreg_invariance_weight: float = Field(25.0, ge=0)
    vicreg_variance_weight: float = Field(25.0, ge=0)
    vicreg_covariance_weight: float = Field(1.0, ge=0)
    byol_momentum: float = Field(0.996, ge=0, le=1, description="of BYOL's target network at first; it rises to 1")

    # Method deacl: the trial pretrains a clean teacher first; its other fields are those of the student.
    teacher_method: MethodName = "emp_ssl"
    teacher_epochs: int = Field(10, ge=1, description="data epochs of the teacher's pretraining")
    teacher_num_views: int = Field(16, ge=1, le=256, description="views per image in the teacher's pretraining")
    teacher_augmentation: Augmentation = "emp_ssl"
    teacher_learning_rate: float = Field(0.3, gt=0)
    distilled_layer: Literal["hidden", "backbone"] = Field(
        "backbone", description="whose features the student takes over; it has no layers above"
    )
    student_start: Literal["teacher", "random"] = Field("teacher", description="the student's weights at first")
    distillation_robust_weight: float = Field(
        2.0, ge=0, description="of perturbed features against the student's clean ones; clean against the teacher's: 1"
    )
    distillation_attack_anchor: Literal["teacher", "student"] = Field(
        "teacher",
        description="whose clean features an attack moves the student's away from; free training: always the student's",
    )

    # Adversary in pretraining.
    adversary: Adversary = "free"
    attack_norm: Norm = Field("linf", description="norm of attack_radius_255 and attack_step_255")
    attack_radius_255: float = Field(8.0, ge=0)
    attack_step_255: float = Field(PAPER_STEP_255, gt=0)
    pgd_steps: int = Field(5, ge=1, description="attack steps per update of adversary pgd")
    replays: int = Field(3, ge=1, description="m of adversary free: updates on each batch of views")
    fgsm_step_factor: float = Field(
        1.25, gt=0, description="step of adversary fgsm, in multiples of attack_radius_255; its start is random"
    )

    # Fidelity choices in pretraining.
    lr_horizon: Literal["updates", "batches"] = "updates"
    gradient_leak: bool = Field(False, description="add the attack's weight gradients to the update, as the code does")
    free_step: Literal["attack_step", "radius"] = "attack_step"
    perturbation: Literal["carried", "carried_unclamped", "reset"] = Field(
        "carried",
        description="of free training at a new batch: kept within [0, 1] of its views, added to them as it is, or 0",
    )
    invariance_target: Literal["perturbed", "clean"] = Field(
        "perturbed", description="the mean that emp_ssl draws perturbed views to: of themselves, or of the clean views"
    )
    simclr_attack_anchor: Literal["other_view", "same_view"] = Field(
        "other_view", description="what adversary pgd moves SimCLR's perturbed view away from"
    )
    simclr_anchor_leak: bool = Field(
        False, description="with gradient_leak: project that anchor at every attack step and add its gradients too"
    )
    attack_batchnorm: Literal["train", "eval"] = "train"

    # Optimisation.
    epochs: int = Field(10, ge=1, description="data epochs: walks over the training images")
    batch_size: int = Field(100, ge=2, description="images per batch")
    learning_rate: float = Field(0.3, gt=0, description="at its peak, which is the first update")
    lr_schedule: Literal["cosine", "cooldown"] = Field(
        "cosine",
        description="of the learning rate: a cosine to 0, or constant and then linear to 0; cooldown shares trunks",
    )
    cooldown_share: float = Field(
        0.3, gt=0, le=1, description="share of the batches, the last ones, in which the rate of cooldown falls to 0"
    )
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    lars_trust_coefficient: float = Field(0.005, gt=0)

    # Encoder and projector.
    encoder: Literal["resnet18", "resnet50", "resnet_narrow"] = "resnet18"
    stem: Literal["auto", "small", "imagenet"] = Field(
        "auto",
        description="small: 3x3, stride 1, no pooling; imagenet: 7x7, stride 2, pooling; auto: small to 64 pixels",
    )
    projector_hidden_dim: int = Field(4096, ge=2)
    projector_dim: int = Field(1024, ge=2)
    predictor_hidden_dim: int | None = Field(None, ge=2, description="of BYOL; none: projector_hidden_dim")

    # Transfer: other images for the probe and every evaluation than for the pretraining.
    probe_dataset: Literal["digits", "cifar10", "cifar100", "stl10", "imagefolder"] | None = Field(
        None, description="images of probe and evaluation; none: those of dataset (stl10 for stl10_unlabeled)"
    )
    probe_data_root: str | None = Field(
        None, description="where the files of probe_dataset are; none: in data_root, but imagefolder needs one"
    )
    probe_train_images: int | None = Field(
        None, ge=20, description="stratified cap on the images that the probe is trained on; none: all"
    )

    # Linear probe on frozen features; own_head is the classifier that method supervised has trained already.
    probe: Literal["central", "robust_central", "n_views", "own_head", "full_finetuning"] = Field(
        "robust_central", description="full_finetuning: adversarial training of a copy of the encoder and a new head"
    )
    probe_layer: Literal["hidden", "backbone"] = "hidden"
    probe_protocol: Literal["paper", "acl"] = Field(
        "paper", description="acl: SGD in three steps on padded crops and flips, which full_finetuning always has"
    )
    probe_loss: Literal["pgd", "trades"] = Field("pgd", description="of robust_central and full_finetuning")
    probe_trades_beta: float = Field(6.0, ge=0, description="weight of the divergence in TRADES")
    probe_epochs: int | None = Field(None, ge=1, description="none: 10, 100 for n_views on cached features, 25 for acl")
    probe_batch_size: int | None = Field(
        None, ge=1, description="none: 256, 100 for n_views, 512 for acl, 128 for full_finetuning"
    )
    probe_learning_rate: float | None = Field(
        None, gt=0, description="none: 3e-4 (Adam), or SGD's 0.03 for n_views, 0.01 for acl, 0.1 for full_finetuning"
    )
    probe_attack_norm: Norm = Field("linf", description="norm of probe_attack_radius_255 and probe_attack_step_255")
    probe_attack_radius_255: float = Field(8.0, ge=0)
    probe_attack_step_255: float = Field(PAPER_STEP_255, gt=0)
    probe_attack_steps: int = Field(5, ge=1)
    probe_views: int = Field(32, ge=1, description="views that probe n_views averages the features of")
    probe_view_draw: Literal["fixed", "redrawn"] = Field(
        "fixed", description="the same crops always, or new ones at every look"
    )
    probe_threat: Literal["image", "per_view"] = Field("image", description="what an attacker of n_views perturbs")

    # Evaluation.
    eval_radii_255: tuple[float, ...] = Field((4.0, 8.0, 16.0), min_length=1)
    eval_l2_radii_255: tuple[float, ...] = Field(
        (), description="l2 radii, attacked as well with steps of 2.5 radii divided by eval_pgd_steps"
    )
    eval_pgd_steps: int = Field(20, ge=1)
    eval_step_255: float = Field(PAPER_STEP_255, gt=0, le=255)
    eval_losses: tuple[Literal["cross_entropy", "margin"], ...] = Field(
        ("cross_entropy", "margin"),
        min_length=1,
        description="what PGD ascends, in this order; an image must withstand all",
    )
    eval_checks: Literal["cheap", "all"] = Field(
        "cheap", description="all: also the checks of the attack that take longer than it does"
    )
    eval_restarts: int = Field(1, ge=1, description="the first starts at 0 as in the paper, further ones at random")
    eval_samples: int | None = Field(None, ge=10, description="cap on validation and on test images; none: all")
    eval_eot_samples: int = Field(20, ge=1, description="draws an attack averages gradients over, for redrawn views")
    eval_autoattack_samples: int = Field(0, ge=0, description="first images that AutoAttack standard also attacks")
    eval_autoattack_split: Literal["test", "validation", "both"] = Field(
        "test", description="of which images; validation: as an objective, or to confirm before the test"
    )
    eval_corruptions: Literal["none", "generated", "files"] = Field(
        "none", description="generated: eight corruptions made here; files: those of CIFAR-10-C and CIFAR-100-C"
    )
    eval_knn_neighbours: int | None = Field(
        None, ge=1, description="k of a k-NN classifier of the pretrained features, a check without a probe; none: off"
    )
    rung_images: int = Field(2000, ge=20, description="cap on training and validation images of an interim evaluation")
    rung_radii_255: tuple[float, ...] = Field((8.0,), min_length=1, description="radii of the interim evaluation")
    rung_probe_epochs: int = Field(5, ge=1, description="probe epochs of an interim evaluation")

    # Execution.
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="bf16: autocast, losses and attack logits fp32; on CUDA fp32 convolutions may use TF32"
    )
    compile: bool | None = Field(
        None, description="train through torch.compile, same up to rounding; none: on CUDA yes, on a CPU no"
    )
    activation_checkpointing: bool = Field(
        False,
        description="compute each block again in the backward pass: a third more work, less memory",
    )
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        for low, high in (("view_scale_min", "view_scale_max"), ("view_ratio_min", "view_ratio_max")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(
                    f"{low} must not exceed {high}: {low}={getattr(self, low)}, {high}={getattr(self, high)}"
                )
        _check_num_views("num_views", self.num_views, self.method)
        if METHODS[self.method].has_teacher:
            self._check_teacher()
        if self.probe == "own_head" and not METHODS[self.method].needs_labels:
            raise ValueError(f"probe own_head belongs to method supervised: method={self.method}, probe={self.probe}")
        if self.probe == "full_finetuning" and self.probe_batch_size == 1:
            raise ValueError(
                "probe_batch_size must be at least 2 for probe full_finetuning, whose BatchNorm is in training mode: "
                "probe_batch_size=1"
            )
        if self.probe_threat == "per_view" and self.probe_view_draw == "redrawn":
            raise ValueError(
                "probe_threat per_view needs views to perturb: probe_view_draw must be 'fixed', not 'redrawn'"
            )
        if self.probe_threat == "per_view" and self.eval_autoattack_samples > 0:
            raise ValueError(
                "AutoAttack perturbs images: eval_autoattack_samples must be 0 for probe_threat per_view: "
                f"eval_autoattack_samples={self.eval_autoattack_samples}"
            )
        if len(set(self.eval_losses)) < len(self.eval_losses):
            raise ValueError(f"eval_losses must be different: eval_losses={self.eval_losses}")
        if self.eval_knn_neighbours is not None and self.eval_knn_neighbours > self.rung_images:
            raise ValueError(
                "eval_knn_neighbours must not exceed rung_images, among which they are sought at rungs: "
                f"eval_knn_neighbours={self.eval_knn_neighbours}, rung_images={self.rung_images}"
            )
        for name in ("eval_radii_255", "rung_radii_255", "eval_l2_radii_255"):
            radii, largest = getattr(self, name), math.inf if name == "eval_l2_radii_255" else 255
            if any(not 0 < r <= largest for r in radii) or list(radii) != sorted(set(radii)):
                raise ValueError(f"{name} must be increasing and within (0, {largest}]: {name}={radii}")
        for field, norm in NORM_FIELDS.items():
            if getattr(self, norm) == "linf" and getattr(self, field) > 255:
                raise ValueError(f"{field} must not exceed 255 for {norm} linf: {field}={getattr(self, field)}")
        self._check_data()
        return self

    def _check_teacher(self) -> None:
        if METHODS[self.teacher_method].has_teacher or METHODS[self.teacher_method].needs_labels:
            raise ValueError(
                f"teacher_method must be self-supervised and of one stage: teacher_method={self.teacher_method}"
            )
        _check_num_views("teacher_num_views", self.teacher_num_views, self.teacher_method)
        if self.distilled_layer == "backbone" and self.probe_layer == "hidden":
            raise ValueError(
                "probe_layer hidden is a layer that the student does not have; set probe_layer 'backbone' or "
                f"distilled_layer 'hidden': distilled_layer={self.distilled_layer}"
            )

    def _check_data(self) -> None:
        if self.probe_dataset == "imagefolder" and self.probe_data_root is None:
            raise ValueError("probe_dataset imagefolder needs the folder of its files: probe_data_root=None")
        if METHODS[self.method].needs_labels and (self.dataset == "stl10_unlabeled" or self.probe_dataset is not None):
            raise ValueError(
                f"method {self.method} needs the labels of the images that it is evaluated on: "
                f"dataset={self.dataset}, probe_dataset={self.probe_dataset}"
            )
        is_same_place = self.dataset != "imagefolder" or self.probed_data[1] == self.data_root
        if self.probe_dataset == self.dataset and is_same_place:
            raise ValueError(
                f"probe_dataset must be other images than dataset; none: the same: probe_dataset={self.probe_dataset}"
            )
        if self.eval_corruptions == "files" and self.probed_data[0] not in CORRUPTED_FOLDERS:
            raise ValueError(
                f"eval_corruptions files needs {' or '.join(CORRUPTED_FOLDERS)} as the probed images: "
                f"{self.probed_data[0]}"
            )
        if self.eval_corruptions == "generated" and self.image_size > MAX_CORRUPTED_SIZE:
            raise ValueError(
                "eval_corruptions generated has severities for small images, image_size must be at most "
                f"{MAX_CORRUPTED_SIZE}: image_size={self.image_size}"
            )
        if self.eval_corruptions != "none" and self.probe_threat == "per_view":
            raise ValueError("corruptions are of images: eval_corruptions must be 'none' for probe_threat per_view")

    def stages(self) -> tuple["TrialConfig", ...]:
        """The pretrainings of the trial in order: its own alone, or after its teacher's, which is a clean one."""
        if not METHODS[self.method].has_teacher:
            return (self,)
        teacher = {
            name.removeprefix("teacher_"): getattr(self, name)
            for name in type(self).model_fields
            if name.startswith("teacher_")
        }
        return self.replace(**teacher, adversary="none", augmentation_decay="none"), self

    @property
    def probed_data(self) -> tuple[str, str]:
        """The data set that probe and evaluation use, and where its files are."""
        if self.probe_dataset is None:
            return self.dataset.removesuffix("_unlabeled"), self.data_root
        return self.probe_dataset, self.data_root if self.probe_data_root is None else self.probe_data_root

    @property
    def probed_dataset(self) -> str:
        """The data set that probe and evaluation use."""
        return self.probed_data[0]

    def replace(self, **changes: Any) -> "TrialConfig":
        """Returns a validated copy with ``changes`` applied; raises like the constructor."""
        return replaced(self, changes)

    def num_perturbed_views(self) -> int:
        """Views of each image that an adversary may perturb: SimCLR keeps its first view clean."""
        return self.num_views - METHODS[self.method].keeps_first_clean

    def num_clean_views(self) -> int:
        """Views of each image that every update also projects clean: SimCLR's first, or the invariance target."""
        adds_all = self.adversary != "none" and METHODS[self.method].adds_clean_views(self)
        return self.num_views if adds_all else int(METHODS[self.method].keeps_first_clean)

    def target_passes_per_image(self) -> int:
        """Views of one image that a second network sees in one data epoch, forward only.

        That is before every update, or once a batch if the network never changes.
        """
        if METHODS[self.method].second_network is None:
            return 0
        return self.num_views * (1 if METHODS[self.method].has_teacher else self.updates_per_batch())

    def view_passes_per_image(self) -> int:
        """View passes that one image costs in one data epoch.

        Clean views are never attacked, so SimCLR with PGD-k costs 2 + k; with leaking anchors, 2 + 2k.
        """
        views = self.num_perturbed_views() + self.num_clean_views()
        attacked = self.num_perturbed_views() + self.has_leaking_anchor()
        return views * self.updates_per_batch() + attacked * self.attack_steps()

    def attack_steps(self) -> int:
        """Attack steps before each update, each a pass of every perturbed view; none for free adversarial training."""
        return {"pgd": self.pgd_steps, "fgsm": 1}.get(self.adversary, 0)

    def has_leaking_anchor(self) -> bool:
        """Whether the gradients of what a SimCLR attack moves away from are added to the update."""
        return self.simclr_anchor_leak and "simclr_anchor_leak" not in self._ineffective_fields()

    def probe_recipe(self) -> "ProbeRecipe":
        """How the probe is trained: by the defaults of its own recipe where the fields are None."""
        rate, epochs, batch_size = self._own_recipe()
        return ProbeRecipe(
            self.probe_learning_rate or rate, self.probe_epochs or epochs, self.probe_batch_size or batch_size
        )

    def _own_recipe(self) -> "ProbeRecipe":
        match self.probe, self.probe_protocol:
            case "n_views", _:
                return ProbeRecipe(0.03, 100, 100)
            case "full_finetuning", _:
                return ProbeRecipe(0.1, 25, 128)
            case _, "acl":
                return ProbeRecipe(0.01, 25, 512)
        return ProbeRecipe(3e-4, 10, 256)

    def final_radii_255(self, norm: Norm) -> tuple[float, ...]:
        """The radii of the final evaluation in ``norm``."""
        return self.eval_radii_255 if norm == "linf" else self.eval_l2_radii_255

    def autoattack_splits(self) -> tuple[Split, ...]:
        """Of which images AutoAttack attacks the first ones."""
        if self.eval_autoattack_samples == 0:
            return ()
        splits: dict[str, tuple[Split, ...]] = {"validation": ("val",), "both": ("val", "test")}
        return splits.get(self.eval_autoattack_split, ("test",))

    def corrupted_splits(self) -> tuple[Split, ...]:
        """Which images are evaluated with corruptions; there are no official files of validation images."""
        splits: dict[str, tuple[Split, ...]] = {"generated": ("val", "test"), "files": ("test",)}
        return splits.get(self.eval_corruptions, ())

    def updates_per_batch(self) -> int:
        """Optimizer steps on each batch of views: m for free adversarial training, else 1."""
        return self.replays if self.adversary == "free" else 1

    def effective(self) -> dict[str, Any]:
        """The fields that influence the result, by name, as plain JSON values (see ``INEFFECTIVE``).

        ``data_root`` counts only for an ImageFolder: the other datasets are the same wherever they are stored.
        ``compile`` and ``activation_checkpointing`` never count: the computation is the same.
        """
        dropped = self._ineffective_fields() | {"compile", "activation_checkpointing"}
        dropped |= set() if self.dataset == "imagefolder" else {"data_root"}
        dropped |= set() if self.probe_dataset == "imagefolder" else {"probe_data_root"}
        return {k: v for k, v in self.model_dump(mode="json").items() if k not in dropped}

    def content_hash(self) -> str:
        """16 hex digits that are equal exactly if all effective fields are, a default as the value that it stands for.

        Values enter as the earliest version wrote its defaults: the probe's batch size always as a number, its epochs
        and rate as None and the stem as ``auto`` where those mean the same. So its configs keep their hashes, but for
        those in which the value of such a default was set explicitly.
        """
        fields = self._hashed()
        if "probe_batch_size" in fields:
            fields["probe_batch_size"] = self.probe_recipe().batch_size
        rate, epochs, _ = self._own_recipe()
        for name, value in (("probe_epochs", epochs), ("probe_learning_rate", rate)):
            if fields.get(name) == value:
                fields[name] = None
        return content_hash(fields)

    def pretraining_hash(self) -> str:
        """16 hex digits over only those effective fields that influence the pretrained encoder."""
        return content_hash(self._pretraining_fields())

    def trunk_hash(self) -> str | None:
        """Equal for configs whose pretrainings are the same until one of them cools down; None: it shares no trunk.

        Length and cooldown may differ. A pretraining whose first batches depend on its length shares none: with
        the cosine, an augmentation that decays, or a momentum that rises, as BYOL's does; nor does one of two stages.
        """
        fields = self._pretraining_fields()
        depends_on_length = "augmentation_decay" in fields or METHODS[self.method].second_network is not None
        if self.lr_schedule != "cooldown" or depends_on_length:
            return None
        return content_hash({k: v for k, v in fields.items() if k not in ("epochs", "cooldown_share")})

    def _pretraining_fields(self) -> dict[str, Any]:
        return {k: v for k, v in self._hashed().items() if not k.startswith(("probe", "eval_", "rung_"))}

    def has_small_stem(self) -> bool:
        """Whether the encoder has the stem for small images, which ``auto`` selects up to 64 pixels."""
        return self._is_small() if self.stem == "auto" else self.stem == "small"

    def _is_small(self) -> bool:
        return self.image_size <= 64

    def _hashed(self) -> dict[str, Any]:
        """The effective fields without those that are as they were before they could be set (see ``EARLIER``)."""
        fields = {k: v for k, v in self.effective().items() if k not in EARLIER or v != EARLIER[k]}
        if "stem" in fields and self.has_small_stem() == self._is_small():
            fields["stem"] = "auto"
        return fields

    def ineffective_settings(self) -> list[str]:
        """Fields that were set to other values than their defaults although they have no effect, sorted."""
        defaults = TrialConfig.model_fields
        changed = {k for k in self._ineffective_fields() if getattr(self, k) != defaults[k].default}
        return sorted(changed & self.model_fields_set)

    def _ineffective_fields(self) -> set[str]:
        """The fields without effect in any stage."""
        *earlier, own = self.stages()
        return own._ineffective_in_stage().intersection(*(stage._ineffective_in_stage() for stage in earlier))

    def _ineffective_in_stage(self) -> set[str]:
        found = {
            field
            for (switch, value), fields in INEFFECTIVE.items()
            if getattr(self, switch) == value
            for field in fields
        }
        if self.adversary == "free" and self.free_step == "radius":
            found.add("attack_step_255")
        if self.adversary == "free" and self.replays == 1:
            found.add("lr_horizon")
        if METHODS[self.method].needs_labels:
            found.add("probe_layer")  # there is no hidden one
        if self.augmentation == "padded_crop":
            found.add("augmentation_decay")
            if self.probe != "n_views":
                found |= {"view_scale_min", "view_scale_max", "view_ratio_min", "view_ratio_max"}
        if (
            "augmentation_decay" in found
            or self.augmentation_decay == "none"
            or self.augmentation_decay_period >= self.epochs
        ):
            found |= {"augmentation_decay", "augmentation_decay_period"}
        return found


def _check_num_views(field: str, num_views: int, name: MethodName) -> None:
    method = METHODS[name]
    if num_views < method.fewest_views if method.num_views is None else num_views != method.num_views:
        rule = f"at least {method.fewest_views}" if method.num_views is None else method.num_views
        raise ValueError(f"{field} must be {rule} for method {name}: {field}={num_views}")


class ProbeRecipe(NamedTuple):
    """How a probe is trained."""

    learning_rate: float
    epochs: int
    batch_size: int


PROBE_LOSS = ("probe_loss", "probe_trades_beta")
PROBE_ATTACK = ("probe_attack_norm", "probe_attack_radius_255", "probe_attack_step_255", "probe_attack_steps")
PROBE_VIEWS = ("probe_views", "probe_view_draw", "probe_threat", "eval_eot_samples")

# (field, value) -> the fields that then have no effect.
INEFFECTIVE: dict[tuple[str, Any], tuple[str, ...]] = {
    ("dataset", "digits"): ("data_root",),
    ("adversary", "none"): (
        "attack_radius_255", "attack_step_255", "pgd_steps", "replays", "lr_horizon", "gradient_leak", "free_step",
        "perturbation", "attack_batchnorm", "invariance_target", "simclr_attack_anchor", "simclr_anchor_leak",
        "fgsm_step_factor", "distillation_robust_weight", "distillation_attack_anchor", "attack_norm",
    ),
    ("adversary", "pgd"): ("replays", "lr_horizon", "free_step", "perturbation", "fgsm_step_factor"),
    ("adversary", "free"): (
        "pgd_steps", "gradient_leak", "attack_batchnorm", "simclr_attack_anchor", "simclr_anchor_leak",
        "fgsm_step_factor", "distillation_attack_anchor",
    ),
    ("adversary", "fgsm"): (
        "attack_step_255", "pgd_steps", "replays", "lr_horizon", "free_step", "perturbation",
    ),
    ("gradient_leak", False): ("simclr_anchor_leak",),
    ("lr_schedule", "cosine"): ("cooldown_share",),
    ("lr_schedule", "cooldown"): ("lr_horizon",),  # its horizon is always the updates
    **{("method", name): fields_of_others(name) for name in METHODS},
    ("encoder", "resnet_narrow"): ("stem",),
    ("probe", "central"): (*PROBE_ATTACK, *PROBE_LOSS, *PROBE_VIEWS),
    ("probe", "robust_central"): PROBE_VIEWS,
    ("probe", "n_views"): (*PROBE_ATTACK, *PROBE_LOSS, "probe_protocol"),
    ("probe", "own_head"): (
        *PROBE_ATTACK, *PROBE_LOSS, *PROBE_VIEWS, "probe_protocol", "probe_layer", "probe_epochs", "probe_batch_size",
        "probe_learning_rate", "rung_probe_epochs",
    ),
    ("probe", "full_finetuning"): (*PROBE_VIEWS, "probe_protocol"),
    ("probe_loss", "pgd"): ("probe_trades_beta",),
    ("probe_view_draw", "fixed"): ("eval_eot_samples",),
    ("probe_dataset", None): ("probe_data_root",),
    ("probe_dataset", "digits"): ("probe_data_root",),
    ("eval_autoattack_samples", 0): ("eval_autoattack_split",),
}  # fmt: skip


# Fields that were added later, at the value that means what there was before. It is the value of configs recorded
# without the field, and no part of a hash, so that a config has the hash that it had then. Plain JSON values.
EARLIER: dict[str, Any] = {
    "simclr_anchor_leak": False,
    "probe_protocol": "paper",
    "probe_loss": "pgd",
    "eval_losses": ["cross_entropy"],
    "eval_knn_neighbours": None,
    "eval_checks": "cheap",
    "probe_dataset": None,
    "probe_train_images": None,
    "attack_norm": "linf",
    "probe_attack_norm": "linf",
    "eval_l2_radii_255": [],
    "eval_autoattack_split": "test",
    "eval_corruptions": "none",
    "lr_schedule": "cosine",
    "cooldown_share": 0.3,
    "activation_checkpointing": False,
}


def kept_lengths(epochs: int) -> list[int]:
    """The lengths, in epochs and increasing, of trials at whose branch points a trial of ``epochs`` keeps its trunk.

    Example:
        >>> kept_lengths(6)
        [1, 2, 4, 6]
    """
    return sorted({2**n for n in range(epochs.bit_length())} | {epochs})


def resolve_paths(config: TrialConfig) -> TrialConfig:
    """Returns the config with absolute paths, as workers run in other directories."""
    paths = {name: getattr(config, name) for name in ("data_root", "probe_data_root")}
    return config.replace(
        **{name: str(Path(path).expanduser().resolve()) for name, path in paths.items() if path is not None}
    )
