"""Corruptions against a direct computation by numpy, scipy, Pillow and colorsys; official files, and wrong ones."""

import colorsys
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from trainables.data.corruptions import (
    GENERATED_CORRUPTIONS,
    NUM_SEVERITIES,
    OFFICIAL_CORRUPTIONS,
    generated_images,
    official_images,
    require_official_files,
)

SEVERITIES = range(1, 6)


def smooth_images(num_images: int = 4, size: int = 32) -> Tensor:
    """uint8 images (N, 3, S, S) with all grey levels, plain areas and edges, as photographs have."""
    drawn = np.random.default_rng(0).random((num_images, 3, size, size))
    smooth = ndimage.gaussian_filter(drawn, (0, 0, 3, 3))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    smooth[:, :, :5] = 0
    smooth[:, :, -5:] = 1
    return torch.from_numpy((smooth * 255).round().astype(np.uint8))


def generated(corruption: str, severity: int, images: Tensor) -> np.ndarray:
    found = generated_images(images, corruption, severity, "test", 0)
    assert found.dtype == torch.uint8 and found.shape == images.shape
    return found.permute(0, 2, 3, 1).numpy()


def defocus_blur(image: np.ndarray, severity: int) -> np.ndarray:
    radius, edge = [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)][severity - 1]
    side = np.arange(-8, 9)
    disk = (side**2 + side[:, None] ** 2 <= radius**2).astype(float)
    weights = np.exp(-(np.array([-1, 0, 1]) ** 2) / (2 * edge**2))
    weights /= weights.sum()
    kernel = ndimage.convolve(disk / disk.sum(), weights[:, None] * weights, mode="mirror")
    channels = [ndimage.correlate(image[..., c] / 255, kernel, mode="mirror") for c in range(3)]
    return np.clip(np.stack(channels, axis=-1), 0, 1) * 255


def brightness(image: np.ndarray, severity: int) -> np.ndarray:
    added = [0.05, 0.1, 0.15, 0.2, 0.3][severity - 1]

    def brighter(pixel: np.ndarray) -> tuple[float, float, float]:
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel / 255)
        return colorsys.hsv_to_rgb(hue, saturation, min(1, value + added))

    return np.apply_along_axis(brighter, 2, image) * 255


def contrast(image: np.ndarray, severity: int) -> np.ndarray:
    means = image.mean(axis=(0, 1)) / 255
    return np.clip((image / 255 - means) * [0.75, 0.5, 0.4, 0.3, 0.15][severity - 1] + means, 0, 1) * 255


def pixelate(image: np.ndarray, severity: int) -> np.ndarray:
    small = Image.fromarray(image).resize(([30, 28, 27, 24, 20][severity - 1],) * 2, Image.Resampling.BOX)
    return np.asarray(small.resize((32, 32), Image.Resampling.BOX))


def jpeg_compression(image: np.ndarray, severity: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=[80, 65, 58, 50, 40][severity - 1])
    return np.asarray(Image.open(file))


EXPECTED = {
    "defocus_blur": defocus_blur, "brightness": brightness, "contrast": contrast, "pixelate": pixelate,
    "jpeg_compression": jpeg_compression,
}  # fmt: skip


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("corruption", EXPECTED)
def test_what_is_not_random_equals_a_direct_computation(corruption: str, severity: int) -> None:
    images = smooth_images()
    expected = np.stack([EXPECTED[corruption](image, severity) for image in images.permute(0, 2, 3, 1).numpy()])
    difference = np.abs(generated(corruption, severity, images) - np.floor(expected + 1e-3))
    assert difference.max() <= 1  # where the last digit decides how a value is rounded
    assert (difference > 0).mean() < 0.001


def test_gaussian_noise_has_its_standard_deviation() -> None:
    grey = torch.full((20, 3, 32, 32), 128, dtype=torch.uint8)
    for severity, std in zip(SEVERITIES, (0.04, 0.06, 0.08, 0.09, 0.10), strict=True):
        noise = (generated("gaussian_noise", severity, grey) + 0.5 - 128) / 255  # rounded down
        assert noise.std() == pytest.approx(std, rel=0.02) and abs(noise.mean()) < 4 * std / np.sqrt(noise.size)


def test_shot_noise_is_that_of_counted_photons() -> None:
    """Mean and variance of a Poisson variable are equal, so that of its share of c photons is the mean over c."""
    for severity, photons in zip(SEVERITIES, (500, 250, 100, 75, 50), strict=True):
        for level in (26, 102):
            images = torch.full((20, 3, 32, 32), level, dtype=torch.uint8)
            noisy = (generated("shot_noise", severity, images) + 0.5) / 255
            assert noisy.mean() == pytest.approx(level / 255, abs=0.5 / 255)
            assert noisy.var() == pytest.approx(level / 255 / photons, rel=0.08)  # grey levels add some


def test_impulse_noise_is_salt_and_pepper() -> None:
    grey = torch.full((20, 3, 32, 32), 128, dtype=torch.uint8)
    for severity, share in zip(SEVERITIES, (0.01, 0.02, 0.03, 0.05, 0.07), strict=True):
        noisy = generated("impulse_noise", severity, grey)
        assert set(np.unique(noisy)) == {0, 128, 255}
        tolerance = 4 * np.sqrt(share / noisy.size)
        assert (noisy == 255).mean() == pytest.approx(share / 2, abs=tolerance)
        assert (noisy == 0).mean() == pytest.approx(share / 2, abs=tolerance)


@pytest.mark.usefixtures("global_rng_untouched")
@pytest.mark.parametrize("corruption", GENERATED_CORRUPTIONS)
def test_the_same_images_are_corrupted_alike_and_more_at_higher_severity(corruption: str) -> None:
    images = smooth_images(size=16)
    first, again, other = (generated_images(images, corruption, 3, "test", start) for start in (0, 0, 500))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (corruption in EXPECTED)
    changes = [np.abs(generated(corruption, severity, images) - 1.0 * images.permute(0, 2, 3, 1).numpy()).mean()
               for severity in SEVERITIES]  # fmt: skip
    assert 0 < changes[0] < changes[-1]


NUM_TEST_IMAGES = 12
LABELS = np.arange(NUM_TEST_IMAGES) % 10


@pytest.fixture
def official(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """All files in the format of CIFAR-10-C, of twelve test images."""
    random = np.random.default_rng(3)
    shape = (NUM_SEVERITIES * NUM_TEST_IMAGES, 32, 32, 3)
    files = {name: random.integers(0, 256, shape, dtype=np.uint8) for name in OFFICIAL_CORRUPTIONS}
    for name, images in files.items():
        np.save(tmp_path / f"{name}.npy", images)
    np.save(tmp_path / "labels.npy", np.tile(LABELS, NUM_SEVERITIES).astype(np.uint8))
    return tmp_path, files


def test_official_images_are_those_of_the_rows(official: tuple[Path, dict[str, np.ndarray]]) -> None:
    folder, files = official
    rows = np.array([7, 0, 11])
    require_official_files(folder, rows, LABELS[rows])
    for severity in SEVERITIES:
        found = official_images(folder, "fog", severity, rows)
        expected = files["fog"].reshape(NUM_SEVERITIES, NUM_TEST_IMAGES, 32, 32, 3)[severity - 1][rows]
        assert torch.equal(found, torch.from_numpy(expected.transpose(0, 3, 1, 2).copy()))


def test_missing_and_wrong_official_files_are_refused(official: tuple[Path, dict[str, np.ndarray]]) -> None:
    folder, files = official
    rows = np.arange(NUM_TEST_IMAGES)
    for wrong in (LABELS[::-1], (LABELS + 1) % 10):
        with pytest.raises(ValueError, match=r"the labels in .* are not those of the test images"):
            require_official_files(folder, rows, wrong)
    with pytest.raises(ValueError, match=r"the labels in .* are not those of the test images"):
        require_official_files(folder, np.array([NUM_TEST_IMAGES]), LABELS[:1])
    np.save(folder / "fog.npy", files["fog"][:-1])
    with pytest.raises(ValueError, match=r"hold 60 labels and images of .*\(59, 32, 32, 3\)"):
        require_official_files(folder, rows, LABELS)
    (folder / "fog.npy").unlink()
    with pytest.raises(ValueError, match=r"no corrupted test images in .* eval_corruptions=generated needs no files"):
        require_official_files(folder, rows, LABELS)
