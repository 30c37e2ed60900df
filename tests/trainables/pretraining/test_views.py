"""Views against torchvision: equal parameters give equal pixels, and parameters are distributed equally."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, stats
from torch import Tensor
from torchvision.transforms import ColorJitter, RandomResizedCrop
from torchvision.transforms import functional as tv

from trainables.pretraining import views as views_module
from trainables.pretraining.views import (
    ViewParams,
    augmentation_strength,
    make_views,
    render_views,
    sample_view_params,
)
from trainables.trial_config import TrialConfig

PATCH = {"view_scale_min": 0.25, "view_scale_max": 0.25, "view_ratio_min": 1.0, "view_ratio_max": 1.0}
TORCHVISION_OPERATIONS = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue)
BOX_MIX = torch.tensor([7, -11, 13, 17])  # of the four sides, for their joint distribution
SMALLEST_P = 1e-3  # of a two-sample test on fixed seeds


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(num_images: int, height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    """uint8 noise with black, white, gray and saturated pixels: every branch of the colour operations."""
    images = torch.randint(0, 256, (num_images, 3, height, width), generator=generator(seed), dtype=torch.uint8)
    images[:, :, 0, :8] = torch.tensor([0, 255, 128, 127, 64, 200, 1, 254], dtype=torch.uint8)
    images[:, 0, 1, :4], images[:, 1, 2, :4], images[:, 2, 3, :4] = 255, 255, 0
    return images


def identity_params(num_views_total: int, height: int, width: int) -> ViewParams:
    """The whole image, nothing changed."""
    params = sample_view_params(num_views_total, height, width, TrialConfig(augmentation="none"), generator())
    zeros = torch.zeros_like(params.top)
    return replace(
        params,
        top=zeros,
        left=zeros,
        height=torch.full_like(zeros, height),
        width=torch.full_like(zeros, width),
        flip=zeros.bool(),
    )


def scaled(images: Tensor) -> Tensor:
    return images.float() / 255


def torchvision_colours(view: Tensor, params: ViewParams, row: int) -> Tensor:
    """Jitter in the row's order, grayscale, solarize by torchvision's float operations; no blur."""
    factors = (params.brightness, params.contrast, params.saturation, params.hue)
    if params.jitter[row]:
        for operation in params.order[row].tolist():
            view = TORCHVISION_OPERATIONS[operation](view, factors[operation][row].item())
    if params.grayscale[row]:
        view = tv.rgb_to_grayscale(view, num_output_channels=3)
    return tv.solarize(view, 128 / 255) if params.solarize[row] else view


@pytest.mark.parametrize(("height", "width", "size"), [(32, 32, 32), (300, 200, 224), (20, 50, 32), (90, 128, 24)])
def test_geometry_equals_pil_within_one_grey_level(height: int, width: int, size: int) -> None:
    images = random_images(2, height, width)
    params = sample_view_params(24, height, width, TrialConfig(augmentation="none"), generator(1))
    views = render_views(images, params, size)
    assert params.flip.any() and not params.flip.all()
    for row in range(24):
        box = [int(getattr(params, side)[row]) for side in ("top", "left", "height", "width")]
        image = tv.to_pil_image(images[row % 2])
        crop = tv.resized_crop(image, *box, size=[size, size], interpolation=tv.InterpolationMode.BILINEAR)
        expected = tv.to_tensor(tv.hflip(crop) if params.flip[row] else crop)
        assert (views[row] - expected).abs().max() < 1.001 / 255


def test_whole_image_at_its_own_size_is_the_identity() -> None:
    images = random_images(3)
    assert torch.equal(render_views(images, identity_params(3, 32, 32), 32), scaled(images))


@pytest.mark.parametrize("operation", range(4))
def test_each_jitter_operation_equals_torchvision(operation: int) -> None:
    images = random_images(16)
    names = ("brightness", "contrast", "saturation", "hue")
    low, high = (-0.5, 0.5) if names[operation] == "hue" else (0.0, 2.0)
    factor = torch.linspace(low, high, 16)
    neutral = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}
    changes = {name: torch.full((16,), value) for name, value in neutral.items()} | {names[operation]: factor}
    params = replace(identity_params(16, 32, 32), jitter=torch.ones(16, dtype=torch.bool), **changes)
    views = render_views(images, params, 32)
    for row in range(16):
        expected = TORCHVISION_OPERATIONS[operation](scaled(images[row]), factor[row].item())
        torch.testing.assert_close(views[row], expected, atol=1e-5, rtol=0)
    assert (views - scaled(images)).abs().max() > 0.1


@pytest.mark.parametrize("augmentation", ["emp_ssl", "simclr"])
def test_colour_pipeline_equals_torchvision_in_each_views_own_order(augmentation: str) -> None:
    config = TrialConfig(augmentation=augmentation)
    images = random_images(4)
    params = sample_view_params(200, 32, 32, config, generator(2))
    params = replace(params, blur=torch.zeros(200, dtype=torch.bool))
    assert len(set(map(tuple, params.order[params.jitter].tolist()))) == 24
    plain = render_views(images, sample_view_params(200, 32, 32, config.replace(augmentation="none"), generator(2)), 32)
    views = render_views(images, params, 32)
    for row in range(200):
        expected = torchvision_colours(plain[row], params, row)
        # At the solarize threshold an ulp decides between x and 1 - x, 1/255 apart.
        tolerance = 1.01 / 255 if params.solarize[row] else 1e-5
        difference = (views[row] - expected).abs()
        assert difference.max() < tolerance
        assert (difference > 1e-5).float().mean() < 2e-3


def test_solarize_and_grayscale_equal_pil() -> None:
    images = random_images(2)
    both = torch.ones(2, dtype=torch.bool)
    solarized = render_views(images, replace(identity_params(2, 32, 32), solarize=both), 32)
    gray = render_views(images, replace(identity_params(2, 32, 32), grayscale=both), 32)
    for row in range(2):
        image = tv.to_pil_image(images[row])
        torch.testing.assert_close(solarized[row], tv.to_tensor(tv.solarize(image, 128)), atol=1e-6, rtol=0)
        assert (gray[row] - tv.to_tensor(tv.to_grayscale(image, 3))).abs().max() < 1.001 / 255
    assert torch.equal(gray[:, 0], gray[:, 1]) and torch.equal(gray[:, 0], gray[:, 2])


@pytest.mark.parametrize("size", [8, 32])
def test_blur_equals_scipy_with_replicated_edges(size: int) -> None:
    images = random_images(6, size, size)
    sigma = torch.tensor([0.1, 0.3, 0.7, 1.0, 1.5, 2.0])
    params = replace(identity_params(6, size, size), blur=torch.ones(6, dtype=torch.bool), blur_sigma=sigma)
    views = render_views(images, params, size)
    for row in range(6):
        image, width = scaled(images[row]).double().numpy(), float(sigma[row])
        expected = ndimage.gaussian_filter(image, (0, width, width), mode="nearest", radius=(0, 8, 8))
        assert np.abs(views[row].numpy() - expected).max() < 2e-6


def test_only_the_chosen_rows_change() -> None:
    images = random_images(5)
    chosen = torch.tensor([True, False, False, True, False])
    for change in ("jitter", "grayscale", "blur", "solarize"):
        params = sample_view_params(5, 32, 32, TrialConfig(), generator())
        params = replace(
            params, **{name: torch.zeros(5).bool() for name in ("jitter", "grayscale", "blur", "solarize")}
        )
        plain, changed = (render_views(images, p, 32) for p in (params, replace(params, **{change: chosen})))
        assert ((plain - changed).abs().amax(dim=(1, 2, 3)) > 0.01).tolist() == chosen.tolist()


@pytest.mark.parametrize(
    ("height", "width", "scale", "ratio"),
    [
        (32, 32, (0.08, 1.0), (3 / 4, 4 / 3)),
        (32, 80, (0.08, 1.0), (3 / 4, 4 / 3)),  # often all ten attempts fail: the central crop
        (90, 30, (0.5, 1.0), (3 / 4, 4 / 3)),
        (31, 33, (0.9, 1.0), (0.95, 1.05)),
    ],
)
def test_crops_are_distributed_as_torchvisions(
    height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> None:
    bounds = dict(zip(("view_scale_min", "view_scale_max"), scale, strict=True))
    bounds |= dict(zip(("view_ratio_min", "view_ratio_max"), ratio, strict=True))
    ours = sample_view_params(20_000, height, width, TrialConfig(**bounds), generator(3))
    image = torch.empty(3, height, width)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        theirs = torch.tensor([RandomResizedCrop.get_params(image, list(scale), list(ratio)) for _ in range(6_000)])
    boxes = torch.stack([ours.top, ours.left, ours.height, ours.width], dim=1)
    samples = [(boxes[:, i], theirs[:, i]) for i in range(4)]
    samples += [(boxes[:, 2] * boxes[:, 3], theirs[:, 2] * theirs[:, 3]), (boxes @ BOX_MIX, theirs @ BOX_MIX)]
    for a, b in samples:
        constant = bool((a == a[0]).all() and (b == a[0]).all())
        assert constant or ks_p(a, b) > SMALLEST_P
    assert bool((boxes[:, :2] >= 0).all()) and bool(
        (boxes[:, :2] + boxes[:, 2:] <= torch.tensor([height, width])).all()
    )


def ks_p(a: Tensor, b: Tensor) -> float:
    return float(stats.ks_2samp(a.numpy(), b.numpy()).pvalue)


def test_a_crop_that_never_fits_falls_back_to_torchvisions_central_crop() -> None:
    for height, width in ((16, 200), (200, 16)):
        config = TrialConfig(view_scale_min=1.0, view_scale_max=1.0)
        ours = sample_view_params(3, height, width, config, generator())
        expected = RandomResizedCrop.get_params(torch.empty(3, height, width), [1.0, 1.0], [3 / 4, 4 / 3])
        for row in range(3):
            assert tuple(int(getattr(ours, side)[row]) for side in ("top", "left", "height", "width")) == expected


@pytest.mark.parametrize(("augmentation", "hue"), [("emp_ssl", 0.2), ("simclr", 0.1)])
def test_jitter_is_distributed_as_torchvisions(augmentation: str, hue: float) -> None:
    config = TrialConfig(augmentation=augmentation)
    ours = sample_view_params(20_000, 32, 32, config, generator(5))
    jitter = ColorJitter(0.4, 0.4, 0.4, hue)
    with torch.random.fork_rng():
        torch.manual_seed(6)
        draws = [
            ColorJitter.get_params(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
            for _ in range(5_000)
        ]
    for column, name in enumerate(("brightness", "contrast", "saturation", "hue"), start=1):
        theirs = torch.tensor([draw[column] for draw in draws])
        assert ks_p(getattr(ours, name), theirs) > SMALLEST_P
    counts = torch.unique(ours.order @ torch.tensor([64, 16, 4, 1]), return_counts=True)[1]
    assert len(counts) == 24 and stats.chisquare(counts.numpy()).pvalue > SMALLEST_P
    assert torch.equal(ours.order.sort(dim=1).values, torch.arange(4).expand(20_000, 4))


@pytest.mark.parametrize(
    ("augmentation", "expected"),
    [("emp_ssl", (0.5, 0.8, 0.2, 0.1, 0.1)), ("simclr", (0.5, 0.8, 0.2, 0.0, 0.0)), ("none", (0.5, 0, 0, 0, 0))],
)
def test_probabilities_of_each_recipe(augmentation: str, expected: tuple[float, ...]) -> None:
    config = TrialConfig(augmentation=augmentation)
    params = sample_view_params(20_000, 32, 32, config, generator(7))
    for name, probability in zip(("flip", "jitter", "grayscale", "blur", "solarize"), expected, strict=True):
        count = int(getattr(params, name).sum())
        if probability:
            assert stats.binomtest(count, 20_000, probability).pvalue > SMALLEST_P
        else:
            assert count == 0
    assert stats.kstest(params.blur_sigma.numpy(), "uniform", args=(0.1, 1.9)).pvalue > SMALLEST_P
    flags = torch.stack([params.flip, params.jitter, params.grayscale, params.blur, params.solarize]).double()
    flags = flags[flags.std(dim=1) > 0]
    assert len(flags) == 1 or (torch.corrcoef(flags) - torch.eye(len(flags))).abs().max() < 0.03


@pytest.mark.parametrize(("epochs", "period"), [(10, 1), (10, 3), (7, 2), (6, 6), (4, 9)])
def test_the_strength_is_dynacls(epochs: int, period: int) -> None:
    """Which loads its data anew at the first of every ``period`` epochs, with the share of epochs that are left."""
    config = TrialConfig(augmentation_decay="linear", epochs=epochs, augmentation_decay_period=period)
    strength, expected = math.nan, []
    for epoch in range(1, epochs + 1):
        if epoch % period == 1 or period == 1:
            strength = 1 - (epoch - 1) / epochs
        expected.append(strength)
    assert [augmentation_strength(epoch, config) for epoch in range(epochs)] == pytest.approx(expected, abs=1e-12)
    assert {augmentation_strength(epoch, TrialConfig(epochs=epochs)) for epoch in range(epochs)} == {1.0}


@pytest.mark.parametrize("strength", [0.75, 0.3])
def test_weakened_views_are_distributed_as_dynacls(strength: float) -> None:
    """Its ranges and probabilities, given to torchvision: crops of (1 - 0.9 s, 1) for our smallest crop of 0.1."""
    config = TrialConfig(augmentation="simclr", view_scale_min=0.1)
    ours = sample_view_params(20_000, 64, 64, config, generator(5), strength)
    jitter = ColorJitter(0.4 * strength, 0.4 * strength, 0.4 * strength, 0.1 * strength)
    image = torch.empty(3, 64, 64)
    with torch.random.fork_rng():
        torch.manual_seed(6)
        factors = torch.tensor(
            [
                ColorJitter.get_params(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)[1:]
                for _ in range(4_000)
            ]
        )
        scale, ratio = [1 - 0.9 * strength, 1.0], [3 / 4, 4 / 3]
        boxes = torch.tensor([RandomResizedCrop.get_params(image, scale, ratio) for _ in range(4_000)])
    colours, sides = ("brightness", "contrast", "saturation", "hue"), ("top", "left", "height", "width")
    samples = dict(zip(colours + sides, torch.cat([factors, boxes], dim=1).T, strict=True))
    assert all(ks_p(getattr(ours, name), theirs) > SMALLEST_P for name, theirs in samples.items())
    for name, probability in {"flip": 0.5, "jitter": 0.8 * strength, "grayscale": 0.2 * strength}.items():
        assert stats.binomtest(int(getattr(ours, name).sum()), 20_000, probability).pvalue > SMALLEST_P
    emp_ssl = sample_view_params(20_000, 8, 8, TrialConfig(), generator(5), strength)
    for name in ("blur", "solarize"):
        assert stats.binomtest(int(getattr(emp_ssl, name).sum()), 20_000, 0.1 * strength).pvalue > SMALLEST_P


def test_without_strength_only_flips_and_ratios_are_left() -> None:
    params = sample_view_params(500, 32, 32, TrialConfig(**PATCH), generator(), 0.0)
    assert (params.height == 32).all() and (params.width == 32).all() and params.flip.any()
    assert not any(getattr(params, name).any() for name in ("jitter", "grayscale", "blur", "solarize"))


@pytest.mark.parametrize("side", [8, 17, 32])
def test_padded_crops_are_torchvisions(side: int) -> None:
    """RandomCrop with a padding of an eighth: every shift is equally likely, what comes from outside is black."""
    config = TrialConfig(augmentation="padded_crop", num_views=256, image_size=side)
    image, padding = random_images(1, side, side), side // 8
    draws = generator(4)
    views = torch.cat([make_views(image, config, draws)[:, 0] for _ in range(4)])
    padded = tv.to_tensor(tv.pad(tv.to_pil_image(image[0]), [padding]))
    offsets = [(top, left) for top in range(2 * padding + 1) for left in range(2 * padding + 1)]
    crops = [tv.crop(padded, top, left, side, side) for top, left in offsets]
    possible = torch.stack([*crops, *(tv.hflip(crop) for crop in crops)])
    nearest = torch.cdist(views.flatten(1), possible.flatten(1)).argmin(dim=1)
    torch.testing.assert_close(views, possible[nearest], atol=1e-6, rtol=0)
    counts = torch.bincount(nearest, minlength=len(possible))
    assert stats.chisquare(counts.numpy()).pvalue > SMALLEST_P


def test_patches_are_squares_of_half_the_side() -> None:
    for side in (16, 32, 224):
        params = sample_view_params(500, side, side, TrialConfig(**PATCH), generator())
        assert (params.height == side // 2).all() and (params.width == side // 2).all()
        assert params.top.min() >= 0 and params.top.max() <= side // 2


def test_the_generator_alone_decides() -> None:
    images, config = random_images(5), TrialConfig(num_views=4)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = make_views(images, config, generator(8))
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(first, make_views(images, config, generator(8)))
    assert not torch.equal(first, make_views(images, config, generator(9)))
    stream = generator(8)
    assert torch.equal(first, make_views(images, config, stream))
    assert not torch.equal(first, make_views(images, config, stream))


def test_crops_do_not_depend_on_the_augmentation() -> None:
    recipes = ("emp_ssl", "simclr", "none")
    params = [sample_view_params(9, 32, 32, TrialConfig(augmentation=name), generator()) for name in recipes]
    for side in ("top", "left", "height", "width", "flip"):
        assert torch.equal(getattr(params[0], side), getattr(params[1], side))
        assert torch.equal(getattr(params[0], side), getattr(params[2], side))


@pytest.mark.parametrize("chunk_views", [1, 7, 16, 1000])
def test_chunks_do_not_change_the_result(chunk_views: int) -> None:
    images = random_images(8)
    params = sample_view_params(64, 32, 32, TrialConfig(), generator(10))
    expected = render_views(images, params, 32)
    views = render_views(images, params, 32, chunk_views=chunk_views)
    torch.testing.assert_close(views, expected, atol=1e-5 if chunk_views != 1000 else 0, rtol=0)


def test_default_chunks_bound_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    render = views_module._crop_resize_flip

    def spy(pixels: Tensor, boxes: Tensor, size: int) -> Tensor:
        rows.append(len(pixels))
        return render(pixels, boxes, size)

    monkeypatch.setattr(views_module, "_crop_resize_flip", spy)
    make_views(random_images(20, 300, 200), TrialConfig(image_size=64, num_views=2), generator())
    assert sum(rows) == 40 and max(rows) * 300 * 200 <= views_module.CPU_CHUNK_PIXELS


def test_layout_is_view_major() -> None:
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 40, 24) * 50
    views = make_views(images, TrialConfig(num_views=3, image_size=16, augmentation="none"), generator())
    assert views.shape == (3, 5, 3, 16, 16) and views.dtype == torch.float32
    expected = scaled(images[:, :, :16, :16]).expand(3, 5, 3, 16, 16)
    torch.testing.assert_close(views, expected, atol=1e-6, rtol=0)
    rendered = render_views(images, identity_params(15, 40, 24), 16)
    torch.testing.assert_close(rendered, expected.flatten(0, 1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("augmentation", ["emp_ssl", "simclr", "padded_crop", "none"])
@pytest.mark.parametrize("as_float", [False, True])
def test_views_stay_in_the_unit_interval(augmentation: str, as_float: bool) -> None:
    images = torch.cat([random_images(6, 48, 40), torch.full((2, 3, 48, 40), 255, dtype=torch.uint8)])
    config = TrialConfig(augmentation=augmentation, num_views=16)
    views = make_views(scaled(images).requires_grad_() if as_float else images, config, generator(11))
    assert views.min() >= 0 and views.max() <= 1 and views.isfinite().all()
    assert torch.equal(views.detach(), make_views(images, config, generator(11)))


def test_geometry_is_linear_and_its_gradient_is_the_adjoint() -> None:
    config = TrialConfig(augmentation="none", num_views=4, image_size=24)
    images, other = scaled(random_images(3, 40, 56)), scaled(random_images(3, 40, 56, seed=1))
    images[0] = 1.0  # white: no pixel may lose its gradient to the upper bound
    images.requires_grad_()
    views = make_views(images, config, generator(12))
    weights = torch.rand(views.shape, generator=generator(13))
    (gradient,) = torch.autograd.grad((views * weights).sum(), images)
    expected = (make_views(other, config, generator(12)) * weights).sum()
    torch.testing.assert_close((gradient * other).sum(), expected, atol=0, rtol=1e-5)
    torch.testing.assert_close(gradient[0].sum(), weights[:, 0].sum(), atol=0, rtol=1e-5)


def test_colour_gradient_equals_autograd_through_torchvision() -> None:
    images = (
        scaled(random_images(3)) * 0.9 + 0.05 * torch.rand(3, 3, 32, 32, generator=generator(14))
    ).requires_grad_()
    params = replace(sample_view_params(24, 32, 32, TrialConfig(), generator(15)), blur=torch.zeros(24).bool())
    plain_params = sample_view_params(24, 32, 32, TrialConfig(augmentation="none"), generator(15))
    weights = torch.rand(24, 3, 32, 32, generator=generator(16))
    (ours,) = torch.autograd.grad((render_views(images, params, 32) * weights).sum(), images)
    plain = render_views(images, plain_params, 32)
    reference = torch.stack([torchvision_colours(plain[row], params, row) for row in range(24)])
    (theirs,) = torch.autograd.grad((reference * weights).sum(), images)
    relative = (ours - theirs).norm() / theirs.norm()
    assert relative < 1e-2, relative


def test_autocast_does_not_reach_the_resize() -> None:
    images, params = random_images(4), sample_view_params(8, 32, 32, TrialConfig(), generator(17))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        views = render_views(images, params, 32)
    assert torch.equal(views, render_views(images, params, 32))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_one_seed_gives_the_same_views_on_every_device() -> None:
    images, config = random_images(8), TrialConfig(num_views=8)
    on_gpu = make_views(images.cuda(), config, generator(18))
    assert on_gpu.is_cuda
    difference = (on_gpu.cpu() - make_views(images, config, generator(18))).abs()
    assert difference.max() < 1.01 / 255 and (difference > 1e-5).float().mean() < 2e-3


def test_wrong_input_is_refused_with_its_value() -> None:
    images, params = random_images(4), identity_params(8, 32, 32)
    with pytest.raises(ValueError, match=r"\(4, 1, 32, 32\)"):
        make_views(images[:, :1], TrialConfig(), generator())
    with pytest.raises(ValueError, match="int64"):
        render_views(images.long(), params, 32)
    with pytest.raises(ValueError, match="num_images=3"):
        render_views(images[:3], params, 32)
    with pytest.raises(ValueError, match="height=30"):
        render_views(images[:, :, :30], params, 32)
    with pytest.raises(ValueError, match="image_width=0"):
        sample_view_params(4, 32, 0, TrialConfig(), generator())


def test_params_lie_on_the_cpu_one_row_a_view() -> None:
    params = sample_view_params(6, 32, 32, TrialConfig(), generator())
    assert len(params) == 6
    for field in fields(params):
        values = getattr(params, field.name)
        assert values.device.type == "cpu" and len(values) == 6
        assert torch.equal(getattr(params.rows(2, 5), field.name), values[2:5])


def test_uint8_and_pil_agree_on_a_gradient_image() -> None:
    ramp = np.arange(32 * 32 * 3, dtype=np.uint32).reshape(32, 32, 3) // 13 % 256
    image = Image.fromarray(ramp.astype(np.uint8))
    views = render_views(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None], identity_params(1, 32, 32), 17)
    assert (views[0] - tv.to_tensor(tv.resize(image, [17, 17]))).abs().max() < 1.001 / 255
