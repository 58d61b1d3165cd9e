"""Every family against its definition, written out pixel by pixel in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch
from torch import Tensor
from torch.nn import functional

from bench.augment.families import (
    Color,
    Crop,
    CropScaleOrRotate,
    Cutout,
    Family,
    Flip,
    Rotate,
    Scale,
)
from bench.randomness import generator

DSA = (Color(), Crop(), Cutout(), Flip(), Scale(), Rotate())
ALL = (*DSA, CropScaleOrRotate())


def name_of(value: object) -> str | None:
    return type(value).__name__ if hasattr(value, "draw") else None


def images_of(count: int, channels: int, size_px: int, dtype: torch.dtype) -> Tensor:
    rng = generator("images", count, channels, size_px)
    return torch.randn(count, channels, size_px, size_px, generator=rng, dtype=dtype)


def bilinear(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Interpolation of (C, S, S) at pixel coordinates, zeros around the image."""
    return np.stack(
        [
            scipy.ndimage.map_coordinates(
                channel, [rows, columns], order=1, mode="grid-constant", cval=0
            )
            for channel in image
        ]
    )


def render(family: Family, image: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """One image (C, S, S) changed by ``family``, without torch and without batches."""
    channels, size, _ = image.shape
    middle = (size - 1) / 2
    out = np.zeros_like(image)
    match family:
        case Color():
            added, saturation, contrast = parameters
            for i in range(size):
                for j in range(size):
                    pixel = [image[c, i, j] + added for c in range(channels)]
                    grey = sum(pixel) / channels
                    out[:, i, j] = [grey + saturation * (value - grey) for value in pixel]
            mean = out.sum() / out.size
            return mean + contrast * (out - mean)
        case Crop():
            down, right = (int(value) for value in parameters)
            for i in range(size):
                for j in range(size):
                    if 0 <= i + down < size and 0 <= j + right < size:
                        out[:, i, j] = image[:, i + down, j + right]
            return out
        case Cutout():
            top, left = (int(value) for value in parameters)
            side = math.floor(size * 0.5 + 0.5)
            for i in range(size):
                for j in range(size):
                    blank = top <= i < top + side and left <= j < left + side
                    out[:, i, j] = 0 if blank else image[:, i, j]
            return out
        case Flip():
            return image[:, :, ::-1] if parameters[0] else image
        case Scale():
            across, down = parameters
            rows, columns = np.mgrid[:size, :size] - middle
            return bilinear(image, middle + down * rows, middle + across * columns)
        case Rotate():
            place = np.mgrid[:size, :size] - middle  # (row, column)
            turn = np.exp(1j * parameters[0])
            turned = (place[1] + 1j * place[0]) * turn  # column is the real axis
            return bilinear(image, middle + turned.imag, middle + turned.real)
        case CropScaleOrRotate():
            down, right, high, wide, angle = parameters
            place = np.mgrid[:size, :size] - middle
            turned = (place[1] + 1j * place[0]) * np.exp(1j * angle)
            rows, columns = turned.imag / high + down, turned.real / wide + right
            return bilinear(image, middle + rows, middle + columns)
    raise AssertionError(family)


@pytest.mark.parametrize("siamese", [False, True], ids=["own", "siamese"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size_px", [8, 28, 32, 64])
@pytest.mark.parametrize("family", ALL, ids=name_of)
def test_agrees_with_the_rendering_pixel_by_pixel(family, size_px, channels, siamese):
    images = images_of(4, channels, size_px, torch.float64)
    parameters = family.draw(1 if siamese else 4, size_px, generator("draw", size_px, channels))
    rows = parameters.double().expand(4, -1).numpy()
    expected = np.stack(
        [render(family, image, row) for image, row in zip(images.numpy(), rows, strict=True)]
    )
    np.testing.assert_allclose(family.apply(images, parameters), expected, rtol=0, atol=1e-12)
    single = family.apply(images.float(), parameters)
    np.testing.assert_allclose(single, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("family", [Scale(), Rotate()], ids=name_of)
def test_agrees_with_the_releases_sampling_for_either_align_corners(family, align_corners):
    """DC leaves align_corners False, MTT and its descendants set True: the map is the same."""
    images = images_of(5, 3, 32, torch.float64)
    parameters = family.draw(5, 32, generator("releases"))
    zero = torch.zeros(5, dtype=torch.float64)
    if isinstance(family, Scale):
        across, down = parameters.double().unbind(1)
        theta = [across, zero, zero, zero, down, zero]
    else:
        angle = parameters.double()[:, 0]
        theta = [angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero]
    matrix = torch.stack(theta, 1).view(5, 2, 3)
    grid = functional.affine_grid(matrix, [5, 3, 32, 32], align_corners=align_corners)
    expected = functional.grid_sample(images, grid, align_corners=align_corners)
    torch.testing.assert_close(family.apply(images, parameters), expected, rtol=0, atol=1e-12)


def test_crop_agrees_with_kornias_crop_of_the_padded_image():
    from kornia.augmentation import RandomCrop

    images = images_of(16, 3, 32, torch.float32)
    reference = RandomCrop((32, 32), padding=4)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        expected = reference(images)
    corner = reference._params["src"][:, 0] - 4  # (x, y) of the crop in the unpadded image
    assert torch.equal(Crop().apply(images, corner.flip(1)), expected)


@pytest.mark.parametrize(
    ("family", "size_px", "bounds"),
    [
        (Color(), 32, [(-0.5, 0.5), (0, 2), (0.5, 1.5)]),
        (Scale(), 32, [(1 / 1.2, 1.2)] * 2),
        (Rotate(), 32, [(-math.pi / 12, math.pi / 12)]),
    ],
    ids=name_of,
)
def test_continuous_parameters_are_independent_and_uniform_over_their_range(
    family, size_px, bounds
):
    drawn = family.draw(4000, size_px, generator("range")).double().numpy()
    assert drawn.shape == (4000, len(bounds))
    for column, (low, high) in zip(drawn.T, bounds, strict=True):
        uniform = scipy.stats.uniform(low, high - low)
        assert scipy.stats.kstest(column, uniform.cdf).pvalue > 0.01
    correlation = np.corrcoef(drawn.T).reshape(len(bounds), -1) - np.eye(len(bounds))
    assert np.abs(correlation).max() < 0.06


@pytest.mark.parametrize(
    ("family", "size_px", "values"),
    [
        (Crop(), 8, range(-1, 2)),
        (Crop(), 28, range(-4, 5)),
        (Crop(), 32, range(-4, 5)),
        (Crop(), 64, range(-8, 9)),
        (Cutout(), 8, range(-2, 7)),  # side 4: centres 0 to 8
        (Cutout(), 9, range(-2, 7)),  # side 5: centres 0 to 8
        (Cutout(), 32, range(-8, 25)),
        (Flip(), 8, range(2)),
    ],
    ids=name_of,
)
def test_whole_parameters_are_uniform_over_their_range(family, size_px, values):
    for column in family.draw(6000, size_px, generator("values", size_px)).T:
        found, counts = column.unique(return_counts=True)
        assert found.tolist() == list(values)
        assert scipy.stats.chisquare(counts).pvalue > 0.01


def test_dc_does_one_of_its_three_to_every_image_equally_often():
    family = CropScaleOrRotate()
    drawn = family.draw(6000, 28, generator("dc"))
    shifts, stretches, angles = drawn[:, :2], drawn[:, 2:4], drawn[:, 4].rad2deg()
    stretched, turned = (stretches != 1).any(1), angles.abs() > 0.5
    shifted = ~stretched & ~turned  # a shift or a turn by nothing counts as a shift by nothing
    assert not (stretched & turned).any()
    assert (shifts[stretched | turned] == 0).all()
    for kind in (shifted, stretched, turned):
        assert 0.3 < kind.float().mean() < 0.37
    assert shifts.unique().tolist() == list(range(-4, 4))
    assert angles.round().unique().tolist() == list(range(-45, 45))
    assert stretches[stretched].min() >= 0.8
    assert stretches[stretched].max() <= 1.2
    assert stretches[stretched].std() == pytest.approx(0.4 / math.sqrt(12), rel=0.05)


def test_saturation_leaves_one_channel_alone():
    images = images_of(4, 1, 16, torch.float32)
    saturation_only = torch.tensor([[0.0, 1.7, 1.0]])
    torch.testing.assert_close(Color().apply(images, saturation_only), images)


@pytest.mark.parametrize("family", ALL, ids=name_of)
def test_gradients_are_right_and_can_be_differentiated_again(family):
    images = images_of(2, 2, 4, torch.float64).requires_grad_()
    for siamese in (False, True):
        parameters = family.draw(1 if siamese else 2, 4, generator("gradient", int(siamese)))

        def changed(images: Tensor, parameters: Tensor = parameters) -> Tensor:
            return family.apply(images, parameters)

        assert torch.autograd.gradcheck(changed, images)
        assert torch.autograd.gradgradcheck(changed, images)


@pytest.mark.parametrize("family", ALL, ids=name_of)
def test_batches_of_batches_can_be_vectorised(family):
    images = images_of(6, 3, 8, torch.float32).view(2, 3, 3, 8, 8)
    parameters = family.draw(6, 8, generator("vmap")).view(2, 3, -1)
    together = torch.func.vmap(family.apply)(images, parameters)
    apart = torch.stack([family.apply(*both) for both in zip(images, parameters, strict=True)])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-6)
