"""The networks of a conditional GAN: shapes, parameters, and how they start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from bench.errors import InvalidValue, NotApplicable
from bench.networks.gan import Discriminator, GanShape, ImageGenerator, build_gan
from bench.randomness import generator
from tests.generators import SHAPE


@pytest.mark.parametrize(
    ("size_px", "channels", "sizes_px", "strides"),
    [
        (8, 1, (4, 8), [1, 1, 1, 2]),
        (16, 3, (4, 8, 16), [1, 2, 1, 1, 1, 2]),
        (28, 1, (4, 7, 14, 28), [1, 2, 1, 2, 1, 1, 1, 2]),
        (32, 3, (4, 8, 16, 32), [1, 2, 1, 2, 1, 1, 1, 2]),
        (64, 3, (4, 8, 16, 32, 64), [1, 2, 1, 2, 1, 2, 1, 1, 1, 2]),
    ],
)
def test_both_networks_fit_the_images(
    size_px: int, channels: int, sizes_px: tuple[int, ...], strides: list[int]
) -> None:
    shape = GanShape(width=2, latent=20, num_classes=10, channels=channels, size_px=size_px)
    network, discriminator = build_gan(shape, generator("shapes"))
    assert shape.sizes_px == sizes_px
    images = network(shape.draw_latent(torch.arange(4), generator("latent")))
    assert images.shape == (4, channels, size_px, size_px)
    assert images.abs().max() <= 1
    score, logits = discriminator(images)
    assert (score.shape, logits.shape) == ((4,), (4, 10))
    convolutions = [m for m in discriminator.features if isinstance(m, torch.nn.Conv2d)]
    assert [m.stride[0] for m in convolutions] == strides


def test_the_papers_generator_has_its_parameters() -> None:
    shape = GanShape(width=196, latent=100, num_classes=10, channels=3, size_px=32)
    with torch.device("meta"):
        network, discriminator = ImageGenerator(shape), Discriminator(shape)
    linear, up, convolution, last = (
        100 * 3136 + 3136,
        196 * 196 * 16 + 196,
        196 * 196 * 9 + 196,
        196 * 3 * 9 + 3,
    )
    norms = 2 * 3136 + 7 * 2 * 196
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == linear + 3 * up + 4 * convolution + last + norms == 3_559_363
    norms_px = [32, 16, 16, 8, 8, 8, 8, 4]
    assert sum(parameter.numel() for parameter in discriminator.parameters()) == (
        (196 * 3 * 9 + 196)
        + 7 * convolution
        + sum(2 * 196 * px * px for px in norms_px)
        + 197
        + 10 * 197
    )


def test_a_latent_is_the_label_and_then_noise() -> None:
    labels = torch.tensor([2, 0, 1] * 2000)
    latent = SHAPE.draw_latent(labels, generator("latent"))
    assert latent.shape == (6000, 7)
    assert torch.equal(latent[:, :3], torch.nn.functional.one_hot(labels, 3).float())
    assert latent[:, 3:].mean(0).abs().max() < 0.06
    assert (latent[:, 3:].std(0) - 1).abs().max() < 0.05


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"latent": 3}, InvalidValue, "no room for noise beside the label of 3 classes"),
        ({"width": 0}, InvalidValue, "width of a GAN is 0"),
        ({"width": True}, InvalidValue, "width of a GAN is True"),
        ({"latent": 2**40}, InvalidValue, "latent of a GAN is"),
        ({"size_px": 24}, NotApplicable, "images of 24 px"),
        ({"size_px": 4}, NotApplicable, "images of 4 px"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        replace(SHAPE, **changes)


def test_building_repeats_for_a_seed_and_leaves_global_randomness_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (build_gan(SHAPE, generator("gan", seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    for ours, same, another in zip(first, again, other, strict=True):
        state, repeated = ours.state_dict(), same.state_dict()
        assert all(torch.equal(state[name], repeated[name]) for name in state)
        weights = [p for p in ours.parameters() if p.ndim in (2, 4)]
        others = [p for p in another.parameters() if p.ndim in (2, 4)]
        assert not any(torch.equal(a, b) for a, b in zip(weights, others, strict=True))


def test_upsampling_starts_as_torch_starts_it() -> None:
    network, _ = build_gan(replace(SHAPE, width=32), generator("gan"))
    (layer,) = (m for m in network.modules() if isinstance(m, torch.nn.ConvTranspose2d))
    with torch.random.fork_rng(devices=[]):
        reference = torch.nn.ConvTranspose2d(32, 32, 4, stride=2, padding=1)
    pairs = zip(layer.state_dict().values(), reference.state_dict().values(), strict=True)
    for ours, theirs in pairs:
        assert ours.shape == theirs.shape
        assert float(ours.std()) == pytest.approx(float(theirs.std()), rel=0.3)
        assert float(ours.abs().max()) == pytest.approx(float(theirs.abs().max()), rel=0.1)
