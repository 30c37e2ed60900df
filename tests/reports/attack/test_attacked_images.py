"""The sheet of attacked images: what is shown is the attack of the evaluation, and what is said of it is true."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from reports.attack.attack_sections import magnification, png_uri, sheet_section
from reports.attack.attacked_images import AttackedImage, attacked_images, sheet_radius_255
from trainables.data.datasets import TrialData, load_data
from trainables.evaluation.probe import ProbedClassifier
from trainables.evaluation.probe_training import train_probe
from trainables.presets import LAPTOP
from trainables.pretraining.encoders import build_encoder
from trainables.trial import FinalReport, run_trial
from trainables.trial_config import TrialConfig

CONFIG = TrialConfig(**LAPTOP).replace(image_size=8, eval_samples=60, adversary="none")
COUNT = 25


@pytest.fixture(scope="module")
def data() -> TrialData:
    return load_data(CONFIG)


@pytest.fixture(scope="module")
def classifier(data: TrialData) -> ProbedClassifier:
    """Trained with labels, which takes a second to be right often; not robust."""
    config = CONFIG.replace(method="supervised", probe="own_head", num_views=1, epochs=4)
    *_, final = run_trial(config, data, torch.device("cpu"))
    assert isinstance(final, FinalReport)
    return final.classifier


def pixels_of(images: list[AttackedImage], name: str) -> torch.Tensor:
    return torch.from_numpy(np.stack([getattr(image, name) for image in images])).permute(0, 3, 1, 2)


def test_images_are_in_the_ball_and_predictions_are_of_what_is_shown(
    data: TrialData, classifier: ProbedClassifier
) -> None:
    falls = np.arange(60.0)
    images = attacked_images(classifier, data, CONFIG, falls, 8.0, COUNT)
    clean, adversarial = pixels_of(images, "clean"), pixels_of(images, "adversarial")
    expected = torch.from_numpy(data.test.images[:COUNT]) / 255  # type: ignore[index]
    assert torch.equal(clean, expected)
    assert float((adversarial - clean).abs().max()) == pytest.approx(8 / 255, abs=1e-6)
    assert float(adversarial.min()) >= 0 and float(adversarial.max()) <= 1
    for name, pixels in (("clean_prediction", clean), ("adversarial_prediction", adversarial)):
        assert [getattr(image, name) for image in images] == [str(k) for k in classifier(pixels).argmax(1).tolist()]
    assert [image.true_class for image in images] == [str(label) for label in data.test.labels[:COUNT]]
    assert [image.index for image in images] == list(range(COUNT))
    assert [image.falls_at_255 for image in images] == falls[:COUNT].tolist()
    wrong = [image for image in images if image.clean_prediction != image.true_class]
    fallen = [image for image in images if image.adversarial_prediction != image.true_class]
    assert 0 < len(wrong) < len(fallen)  # else the next line says nothing
    assert all(not image.perturbation.any() for image in wrong)
    assert all(image.perturbation.any() for image in images if image not in wrong)


def test_of_attacked_views_the_first_is_shown(data: TrialData) -> None:
    config = CONFIG.replace(probe="n_views", probe_views=2, probe_threat="per_view", eval_pgd_steps=2)
    train = data.train.tensors()
    classifier = train_probe(build_encoder(config, 0), *train, data.num_classes, config, num_epochs=5)
    images = attacked_images(classifier, data, config, np.zeros(60), 4.0, 12)
    views = classifier.attack_space(torch.from_numpy(data.test.images[:12]) / 255)  # type: ignore[index]
    assert torch.allclose(pixels_of(images, "clean"), views[:, 0], atol=1e-6)
    assert any(image.perturbation.any() for image in images)
    assert "the 2 views of each image, of which the first is shown" in sheet_section(images, 4.0, config).method


@pytest.mark.parametrize(("radii", "chosen"), [((4.0, 8.0, 16.0), 8.0), ((4.0, 8.0), 4.0), ((2.0,), 2.0)])
def test_the_middle_radius_is_shown(radii: tuple[float, ...], chosen: float) -> None:
    assert sheet_radius_255(CONFIG.replace(eval_radii_255=radii)) == chosen


@pytest.mark.parametrize(("radius", "factor"), [(8.0, 15), (16.0, 7), (0.5, 255), (127.5, 1), (255.0, 1)])
def test_magnified_perturbations_stay_within_gray(radius: float, factor: int) -> None:
    assert magnification(radius) == factor
    assert factor == 1 or factor * radius <= 127.5 < (factor + 1) * radius


def decoded(uri: str) -> np.ndarray:
    head, content = uri.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_png_holds_the_pixels() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (5, 7, 3))
    assert np.array_equal(decoded(png_uri((levels / 255).astype(np.float32))), levels)
    assert np.array_equal(np.unique(decoded(png_uri(np.float32([[[-1, 0.5, 2]]])))), [0, 128, 255])


def image(true: str, clean: str, adversarial: str, falls: float, shift: float) -> AttackedImage:
    pixels = np.full((4, 4, 3), 100 / 255, dtype=np.float32)
    return AttackedImage(0, pixels, pixels + np.float32(shift / 255), true, clean, adversarial, falls)


def test_sheet_says_what_happened_to_each_image() -> None:
    images = [
        image("a<b", "a<b", "dog", 3, 8.0),
        image("cat", "dog", "dog", 0, 0.0),
        image("cat", "cat", "cat", np.inf, -8.0),
    ]
    section = sheet_section(images, 8.0, CONFIG)
    assert section.title == "Images, perturbations × 15 and adversarial versions at 8/255"
    assert "first 3 test images" in section.caption and "multiplied by 15 " in section.method
    assert "1 wrong without an attack (and not attacked), 1 wrong under PGD-20 at 8/255, 1 right" in section.caption
    first, second, third = section.body.split("<figure>")[1:]
    assert "true a&lt;b" in first and "first falls at 3/255" in first and first.count("predicted dog ✗") == 1
    assert "wrong without an attack" in second and second.count("predicted dog ✗") == 2
    assert "right at every radius" in third and "✗" not in third
    levels = [decoded(uri)[0, 0, 0] for uri in re.findall(r'src="([^"]*)"', section.body)]
    assert levels == [100, 248, 108, 100, 128, 100, 100, 8, 92]  # 127.5 + 15 times 8, 0, -8
    assert 'class="sheet pixelated"' in section.body
    assert 'class="sheet"' in sheet_section(images, 8.0, CONFIG.replace(image_size=224)).body
