"""Augmentations by name: building, sharing, replaying, and leaving the global generators alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from bench import augment
from bench.augment.differentiable import STRATEGIES
from bench.augment.families import Color, Crop, Cutout, Flip, Rotate, Scale
from bench.errors import ContractError, InvalidValue, UnknownName
from bench.preprocessing import Preprocessing
from bench.randomness import generator
from bench.specs import DatasetSpec

PICTURES = DatasetSpec(
    name="pictures",
    classes=("cat", "dog"),
    channels=3,
    size_px=16,
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.25, 0.3),
)
FIGURES = DatasetSpec(
    name="figures",
    classes=("6", "9"),
    channels=1,
    size_px=28,
    mean=(0.13,),
    std=(0.31,),
    mirror=False,
)


def images_of(spec: DatasetSpec, count: int = 6) -> Tensor:
    """Random images in model-input space whose pixels lie in [0, 1]."""
    pixels = torch.rand(count, *spec.shape, generator=generator("images", spec.name))
    return Preprocessing.normalize(spec).encode(pixels)


def built(name: str, spec: DatasetSpec = PICTURES) -> augment.Augmentation:
    return augment.build(name, spec, Preprocessing.normalize(spec))


def test_every_name_is_listed_once_and_sorted():
    assert augment.names() == (
        "autoaugment",
        "color-crop",
        "crop-flip",
        "dc",
        "dsa",
        "none",
        "randaugment",
    )


@pytest.mark.parametrize("spec", [PICTURES, FIGURES], ids=lambda spec: spec.name)
@pytest.mark.parametrize("name", augment.names())
def test_shape_and_type_stay_and_values_are_finite(name, spec):
    images = images_of(spec)
    augmentation = built(name, spec)
    for step in range(20):
        changed = augmentation(images, generator("step", step))
        assert changed.shape == images.shape
        assert changed.dtype == images.dtype
        assert changed.isfinite().all()


@pytest.mark.parametrize("name", augment.names())
def test_same_seed_gives_the_same_images_and_another_seed_others(name):
    images = images_of(PICTURES)
    augmentation = built(name)

    def once(*scope: str | int) -> Tensor:
        rng = generator(*scope)
        return torch.stack([augmentation(images, rng) for _ in range(8)])

    assert torch.equal(once("a"), once("a"))
    assert torch.equal(once("a"), once("b")) == (name == "none")


@pytest.mark.parametrize("name", augment.names())
def test_the_input_is_not_written_to(name):
    images = images_of(PICTURES)
    before = images.clone()
    augmentation = built(name)
    for step in range(20):
        augmentation(images, generator(step))
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", augment.names())
def test_global_generators_are_neither_read_nor_moved(name):
    images = images_of(PICTURES)
    augmentation = built(name)
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        before = (torch.get_rng_state(), np.random.get_state()[1], random.getstate())  # noqa: NPY002
        rng = generator("fixed")
        results.append(torch.stack([augmentation(images, rng) for _ in range(12)]))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
        assert random.getstate() == before[2]
    assert torch.equal(*results)


def test_none_returns_the_images_themselves_and_draws_nothing():
    images, rng = images_of(PICTURES), generator("untouched")
    before = rng.get_state()
    assert built("none")(images, rng) is images
    assert torch.equal(rng.get_state(), before)


def test_dsa_draws_each_of_its_six_families_equally_often():
    dsa = augment.build_differentiable("dsa", PICTURES)
    rng = generator("families")
    kinds = [type(dsa.draw((4, 3, 16, 16), rng).operations[0].family) for _ in range(3000)]
    counts = [kinds.count(kind) for kind in (Color, Crop, Cutout, Flip, Scale, Rotate)]
    assert sum(counts) == 3000
    assert scipy.stats.chisquare(counts).pvalue > 0.01


def test_flip_is_dropped_where_the_mirror_changes_labels():
    for name in STRATEGIES:
        with_flips = augment.build_differentiable(name, PICTURES).stages
        without = augment.build_differentiable(name, FIGURES).stages
        assert Flip() not in [family for stage in without for family in stage]
        kept = [tuple(family for family in stage if family != Flip()) for stage in with_flips]
        assert without == tuple(stage for stage in kept if stage)
    assert augment.build_differentiable("crop-flip", FIGURES).stages == ((Crop(),),)


def test_color_crop_always_does_both_in_this_order():
    draw = augment.build_differentiable("color-crop", PICTURES).draw((4, 3, 16, 16), generator(0))
    assert [operation.family for operation in draw.operations] == [Color(), Crop()]
    images = images_of(PICTURES, 4)
    color, crop = draw.operations
    assert torch.equal(draw.apply(images), crop.apply(color.apply(images)))


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_kept_draw_replays_exactly_and_equals_the_direct_call(name):
    images = images_of(PICTURES)
    augmentation = augment.build_differentiable(name, PICTURES)
    for step in range(20):
        draw = augmentation.draw(images.shape, generator(step))
        first = draw.apply(images)
        assert torch.equal(draw.apply(images), first)
        assert torch.equal(augmentation(images, generator(step)), first)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_pair_of_batches_of_different_sizes_shares_one_set_of_parameters(name):
    """The same picture everywhere in both batches must come out the same everywhere."""
    augmentation = augment.build_differentiable(name, PICTURES)
    picture = images_of(PICTURES, 1)
    for step in range(20):
        real, synthetic = augmentation.pair(
            picture.expand(7, -1, -1, -1), picture.expand(2, -1, -1, -1), generator(step)
        )
        assert real.shape[0] == 7
        assert synthetic.shape[0] == 2
        for changed in (*real, *synthetic):
            torch.testing.assert_close(changed, real[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", augment.names())
def test_batches_changed_together_are_those_changed_one_by_one(name):
    augmentation = built(name)
    batches = [images_of(PICTURES, count) for count in (3, 1, 5, 2, 4, 5)]

    def rngs():
        return [generator("together", name, place) for place in range(len(batches))]

    together, alone = rngs(), rngs()
    found = augment.together(augmentation, batches, together)
    expected = [augmentation(batch, rng) for batch, rng in zip(batches, alone, strict=True)]
    assert all(map(torch.equal, found, expected))
    assert all(
        torch.equal(a.get_state(), b.get_state()) for a, b in zip(together, alone, strict=True)
    )


def test_without_siamese_every_image_has_its_own_parameters():
    same = images_of(PICTURES, 1).expand(6, -1, -1, -1)
    dsa = augment.build_differentiable("dsa", PICTURES)
    for step in range(20):
        draw = dsa.draw(same.shape, generator(step))
        assert len(draw.operations[0].parameters) == 6
        assert len(draw.operations[0].parameters.unique(dim=0)) > 1


def test_draws_do_not_depend_on_the_images_type():
    dsa = augment.build_differentiable("dsa", PICTURES)
    images = images_of(PICTURES)
    for step in range(20):
        single = dsa(images, generator(step))
        double = dsa(images.double(), generator(step))
        half = dsa(images.bfloat16(), generator(step))
        assert half.dtype == torch.bfloat16
        torch.testing.assert_close(single.double(), double, rtol=0, atol=2e-5)
        torch.testing.assert_close(single, half.float(), rtol=0, atol=0.1)


def test_a_draw_for_another_batch_size_is_refused():
    draw = augment.build_differentiable("dsa", PICTURES).draw((5, 3, 16, 16), generator(0))
    with pytest.raises(ContractError, match="drawn for 5 images was applied to 6"):
        draw.apply(images_of(PICTURES, 6))


def test_unknown_names_are_refused_with_the_nearest_one():
    with pytest.raises(UnknownName, match="Did you mean 'dsa'"):
        augment.build("dsaa", PICTURES)
    with pytest.raises(UnknownName, match="No differentiable augmentation named 'randaugment'"):
        augment.build_differentiable("randaugment", PICTURES)


@pytest.mark.parametrize("name", ["autoaugment", "randaugment"])
def test_policies_on_pixels_need_the_preprocessing(name):
    with pytest.raises(InvalidValue, match="give its preprocessing"):
        augment.build(name, PICTURES)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("family", STRATEGIES["dsa"][0], ids=lambda family: type(family).__name__)
def test_on_a_gpu_draws_agree_nothing_waits_and_gradients_repeat(family):
    augmentation = augment.differentiable.DifferentiableAugmentation(((family,),))
    images = images_of(PICTURES, 64)
    draw = augmentation.draw(images.shape, generator("gpu"))
    on_gpu = images.cuda().requires_grad_()
    torch.cuda.set_sync_debug_mode("error")
    torch.use_deterministic_algorithms(True)
    try:
        changed = draw.apply(on_gpu)
        gradients = [
            torch.autograd.grad(draw.apply(on_gpu).square().sum(), on_gpu)[0] for _ in range(5)
        ]
    finally:
        torch.use_deterministic_algorithms(False)
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(changed.detach().cpu(), draw.apply(images), rtol=0, atol=2e-5)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)
