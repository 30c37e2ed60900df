"""The encoder with its projector, as the paper probes and trains it.

Shapes: N views, C=3 channels, S pixels a side, F backbone features, H hidden (probed) features, D projected features.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet18, resnet50
from torchvision.models.resnet import BasicBlock

from trainables.pretraining.methods import METHODS
from trainables.pretraining.recomputation import RecomputedBlocks
from trainables.trial_config import TrialConfig

ProbeLayer = Literal["hidden", "backbone"]
RESIDUAL_LAYERS = ("layer1", "layer2", "layer3", "layer4", "blocks")  # torchvision's, and those of NarrowResNet


class ProjectedEncoder(nn.Module):
    """Backbone, then Linear-BatchNorm-ReLU ('hidden', what is probed), then Linear-BatchNorm-ReLU-Linear, normalised.

    A predictor, Linear-BatchNorm-ReLU-Linear, may follow.

    Args:
        backbone: maps (N, 3, S, S) in [0, 1] to (N, F).
        feature_dim: F.
        hidden_dim: H.
        projection_dim: D.
        predictor_hidden_dim: width of the predictor; None: there is none.
        normalises: whether the outputs are scaled to unit length.

    Source: the paper's code; 512-4096-4096-1024 for EMP-SSL on ResNet-18.
    """

    def __init__(
        self,
        backbone: nn.Module,
        feature_dim: int,
        hidden_dim: int,
        projection_dim: int,
        predictor_hidden_dim: int | None = None,
        normalises: bool = True,
    ) -> None:
        super().__init__()
        self.normalises = normalises
        self.backbone = backbone
        self.hidden = hidden_block(feature_dim, hidden_dim)
        self.projection = nn.Sequential(
            nn.Linear(hidden_dim, hidden_dim),
            nn.BatchNorm1d(hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, projection_dim),
        )
        self.predictor: nn.Module = nn.Identity()
        if predictor_hidden_dim is not None:
            self.predictor = nn.Sequential(
                nn.Linear(projection_dim, predictor_hidden_dim),
                nn.BatchNorm1d(predictor_hidden_dim),
                nn.ReLU(),
                nn.Linear(predictor_hidden_dim, projection_dim),
            )
        self.layer_dims: dict[ProbeLayer, int] = {"backbone": feature_dim, "hidden": hidden_dim}

    def forward(self, views: Tensor) -> Tensor:
        """Projects views (N, 3, S, S) to vectors (N, D), fp32 whatever the autocast."""
        outputs: Tensor = self.predictor(self.projection(self.hidden(self.backbone(views)))).float()
        return functional.normalize(outputs, dim=1) if self.normalises else outputs

    def features(self, images: Tensor, layer: ProbeLayer) -> Tensor:
        """The representation (N, F) or (N, H) that a linear probe reads from images (N, 3, S, S), fp32."""
        features = self.backbone(images)
        return (self.hidden(features) if layer == "hidden" else features).float()


class DistilledEncoder(nn.Module):
    """Backbone, and the hidden layer after it if that is what is distilled; for the student of method ``deacl``.

    Args:
        backbone: maps (N, 3, S, S) in [0, 1] to (N, F).
        feature_dim: F.
        hidden_dim: H; None: the backbone's features are distilled.
    """

    def __init__(self, backbone: nn.Module, feature_dim: int, hidden_dim: int | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.layer_dims: dict[ProbeLayer, int] = {"backbone": feature_dim}
        self.hidden: nn.Module = nn.Identity()
        if hidden_dim is not None:
            self.hidden = hidden_block(feature_dim, hidden_dim)
            self.layer_dims["hidden"] = hidden_dim

    def forward(self, views: Tensor) -> Tensor:
        """The distilled features of views (N, 3, S, S) as unit vectors (N, F) or (N, H), fp32 whatever the autocast."""
        return functional.normalize(self.hidden(self.backbone(views)).float(), dim=1)

    def features(self, images: Tensor, layer: ProbeLayer) -> Tensor:
        """The representation (N, F) or (N, H) that a linear probe reads from images (N, 3, S, S), fp32."""
        features = self.backbone(images)
        return (self.hidden(features) if layer == "hidden" else features).float()


def hidden_block(feature_dim: int, hidden_dim: int) -> nn.Sequential:
    """Linear-BatchNorm-ReLU: the first block of the projector, whose outputs are the layer 'hidden'."""
    return nn.Sequential(nn.Linear(feature_dim, hidden_dim), nn.BatchNorm1d(hidden_dim), nn.ReLU())


class HeadedEncoder(nn.Module):
    """Backbone and linear classifier, for method ``supervised``; stands in for ``ProjectedEncoder``.

    Args:
        backbone: maps (N, 3, S, S) in [0, 1] to (N, F).
        feature_dim: F.
        num_classes: K.
    """

    def __init__(self, backbone: nn.Module, feature_dim: int, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(feature_dim, num_classes)
        self.layer_dims: dict[ProbeLayer, int] = {"backbone": feature_dim}

    def forward(self, views: Tensor) -> Tensor:
        """Classifies views (N, 3, S, S) to logits (N, K), fp32 whatever the autocast."""
        return self.head(self.backbone(views)).float()

    def features(self, images: Tensor, layer: ProbeLayer) -> Tensor:
        """The backbone's features (N, F) of images (N, 3, S, S), fp32; there is no other layer to probe."""
        return self.backbone(images).float()


Encoder = ProjectedEncoder | DistilledEncoder | HeadedEncoder


class NarrowResNet(nn.Module):
    """A ResNet of one basic block in each of three stages (16, 32, 64 channels): seconds per trial on a laptop.

    Maps (N, 3, S, S) to (N, 64). Not in the paper.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64)) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        blocks = []
        channels = widths[0]
        for index, width in enumerate(widths):
            stride = 1 if index == 0 else 2
            shortcut = None
            if stride != 1 or channels != width:
                shortcut = nn.Sequential(
                    nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
                )
            blocks.append(BasicBlock(channels, width, stride, shortcut))
            channels = width
        self.blocks = nn.Sequential(*blocks)

    def forward(self, views: Tensor) -> Tensor:
        """Global average of the last stage's channels."""
        return self.blocks(self.stem(views)).mean(dim=(2, 3))


def build_encoder(config: TrialConfig, seed: int, num_classes: int | None = None) -> Encoder:
    """Builds the encoder of ``config`` on the CPU, its weights drawn from ``seed`` without touching the global RNG.

    ``num_classes`` is only for method ``supervised``, which has a classifier instead of the projector. The small stem
    is the one that the paper's encoders use for 32x32 images; ``stem='auto'`` selects it up to 64 pixels.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone: nn.Module
        match config.encoder:
            case "resnet_narrow":
                backbone, feature_dim = NarrowResNet(), 64
            case "resnet18":
                backbone, feature_dim = _torchvision_backbone(resnet18(), config), 512
            case "resnet50":
                backbone, feature_dim = _torchvision_backbone(resnet50(), config), 2048
        if config.activation_checkpointing:
            for name, layer in backbone.named_children():
                if name in RESIDUAL_LAYERS:
                    setattr(backbone, name, RecomputedBlocks(*layer.children()))
        method = METHODS[config.method]
        if method.needs_labels:
            assert num_classes is not None
            return HeadedEncoder(backbone, feature_dim, num_classes)
        if method.has_teacher:
            hidden_dim = config.projector_hidden_dim if config.distilled_layer == "hidden" else None
            return DistilledEncoder(backbone, feature_dim, hidden_dim)
        predictor_hidden_dim = config.predictor_hidden_dim or config.projector_hidden_dim
        return ProjectedEncoder(
            backbone,
            feature_dim,
            config.projector_hidden_dim,
            config.projector_dim,
            predictor_hidden_dim if method.has_predictor else None,
            method.normalises,
        )


def _torchvision_backbone(resnet: nn.Module, config: TrialConfig) -> nn.Module:
    resnet.fc = nn.Identity()
    if config.has_small_stem():
        resnet.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        resnet.maxpool = nn.Identity()
    return resnet
