"""A trial on much data takes no more memory than one on little; measured in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE_SECONDS
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
FEW, MANY = {"train": 120, "test": 50}, {"train": 1400, "test": 200}
MORE_DATA_MB = (sum(MANY.values()) - sum(FEW.values())) * 3 * 224 * 224 / 1e6  # 215
ALLOWED_MB = 60
# Private memory is looked at all the time, so that a copy shows even where it is given back. Few images are more than a
# batch of anything.
SCRIPT = """
import json, pickle, sys, threading, time
from pathlib import Path
import numpy, sklearn.model_selection, torch
from PIL import Image
from torch import nn
from trainables.evaluation import probe, robust_accuracy
from trainables.pretraining import pretrain
from trainables.data.datasets import load_data
from trainables.pretraining.encoders import ProjectedEncoder
from trainables.pretraining.pretrain import Pretraining
from trainables.evaluation.probe_training import train_probe
from trainables.evaluation.robust_accuracy import correct_under_attack
from trainables.trial_config import TrialConfig
from trainables.evaluation.validity import feature_effective_rank

def private_mb():
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1e3

def watch():
    while True:
        peaks[-1] = max(peaks[-1], private_mb())
        time.sleep(0.002)

def use(root):
    config = TrialConfig(
        dataset="imagefolder", data_root=root, image_size=224, validation_fraction=0.2, num_views=2, batch_size=8,
        projector_hidden_dim=16, projector_dim=8, adversary="none", probe="central", probe_epochs=1,
        eval_radii_255=(8.0,), eval_pgd_steps=1,
    )
    load_data(config)  # decodes
    data = pickle.loads(pickle.dumps(load_data(config)))  # verifies, and goes to a worker
    pretraining = Pretraining(config.replace(image_size=16), data.train.tensors()[0], torch.device("cpu"))
    for _ in range(15):
        pretraining.train_batch()
    for kind in ("central", "robust_central"):
        settings = config.replace(probe=kind, probe_batch_size=8, probe_attack_steps=1)
        classifier = train_probe(pretraining.encoder, *data.train.tensors(), 2, settings, num_epochs=1)
    for part in (data.validation, data.test):
        correct_under_attack(classifier, *part.tensors(), config)
    feature_effective_rank(classifier, data.validation.tensors()[0][:20])

# One that is cheap at any size: the means of a quarter of the image each.
encoder = lambda *_: ProjectedEncoder(nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()), 12, 16, 8)
pretrain.build_encoder = encoder
probe.MAX_PASSES_AT_ONCE = robust_accuracy.EVALUATION_BATCH = 100
peaks = [0.0]
threading.Thread(target=watch, daemon=True).start()
for root in sys.argv[1:]:
    peaks.append(private_mb())
    use(root)
print(json.dumps(peaks[1:]))
"""


def link_images(root: Path, num_images: dict[str, int]) -> Path:
    """Two classes of many images, of which only a few files are different ones."""
    root.mkdir()
    random = np.random.default_rng(0)
    for number in range(4):
        pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
    for split, count in num_images.items():
        for label in range(2):
            folder = root / split / f"class {label}"
            folder.mkdir(parents=True)
            for number in range(count // 2):
                os.link(root / f"{number % 4}.png", folder / f"{number}.png")
    return root


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_private_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    few, many = link_images(tmp_path / "few", FEW), link_images(tmp_path / "many", MANY)
    # Blocks above 64 KiB go back to the system as soon as they are free.
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(few), str(many)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert found.returncode == 0, found.stderr
    few_mb, many_mb = json.loads(found.stdout)
    assert MORE_DATA_MB > 3 * ALLOWED_MB
    assert many_mb < few_mb + ALLOWED_MB
