"""CutMix and MixUp: labels are mixed exactly as pixels are, under every loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench import mixing, networks
from bench.data import SyntheticSet
from bench.evaluation import start_training
from bench.mixing import mix, mixed_loss
from bench.randomness import generator
from bench.recipes import KnowledgeDistillation, Recipe
from bench.training import LOSSES, distillation_loss
from tests.fakes import NETWORK, SPEC, tiny_pair

KINDS = ("cutmix", "mixup")
CLASSES = 3
RECIPE = Recipe(epochs=3, lr=0.1, batch=4, augmentation="none")


def double(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator("double", seed), dtype=torch.float64)


def numbered(count: int, size_px: int = 8) -> Tensor:
    """Images of which every pixel is the image's place in the batch."""
    return torch.arange(count, dtype=torch.float64)[:, None, None, None].expand(
        count, 2, size_px, size_px
    )


@given(seed=st.integers(0, 10**6), size_px=st.integers(1, 12), count=st.integers(1, 6))
def test_cutmix_weighs_labels_by_the_pixels_it_leaves_and_takes(
    seed: int, size_px: int, count: int
) -> None:
    images = numbered(count, size_px)
    mixed, targets = mix("cutmix", images, torch.arange(count), generator(seed))
    (share, own), (rest, partners) = targets
    assert 0 <= share <= 1
    assert share + rest == 1
    for image, mine, other in zip(mixed, own.tolist(), partners.tolist(), strict=True):
        assert ((image == mine) | (image == other)).all()
        if mine != other:
            assert (image[0] == mine).sum() == round(share * size_px**2, 9)
            assert torch.equal(image[0], image[1])


@given(seed=st.integers(0, 10**6), count=st.integers(1, 6))
def test_mixup_weighs_labels_as_it_weighs_pixels(seed: int, count: int) -> None:
    images = double(count, 2, 4, 4)
    mixed, targets = mix("mixup", images, torch.arange(count), generator(seed))
    (share, own), (rest, partners) = targets
    assert 0 <= share <= 1
    assert share + rest == 1
    assert own.tolist() == list(range(count))
    assert (mixed - (share * images + rest * images[partners])).abs().max() < 1e-15


@pytest.mark.parametrize("kind", KINDS)
def test_partners_are_a_permutation_and_shares_spread_over_the_unit_interval(kind: str) -> None:
    rng = generator("many")
    shares = []
    for _ in range(300):
        _, ((share, _), (_, partners)) = mix(kind, numbered(5), torch.arange(5), rng)
        assert sorted(partners.tolist()) == list(range(5))
        shares.append(share)
    assert min(shares) < 0.3
    assert max(shares) > 0.9
    if kind == "mixup":  # uniform; borders clip boxes, so cutmix leaves more
        assert sum(shares) / len(shares) == pytest.approx(0.5, abs=0.06)


def changed_box(images: Tensor, mixed: Tensor) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixels that differ."""
    rows, columns = (mixed != images)[0, 0].nonzero().unbind(1)
    ends = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    left, top, right, bottom = map(int, ends)
    return left, top, right, bottom


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_torchvision_on_the_same_draw(kind: str) -> None:
    from torchvision.transforms import v2

    images = double(4, 1, 8, 8)
    labels = F.one_hot(torch.arange(4) % CLASSES, CLASSES).double()
    draw = generator("draw")
    partners = images.roll(1, 0)  # as torchvision pairs them
    if kind == "mixup":
        theirs = v2.MixUp()
        ours, share = mixing.mixup(images, partners, draw)
        drawn = {"lam": share}
    else:
        theirs = v2.CutMix()
        ours, share = mixing.cutmix(images, partners, draw)
        drawn = {"lam_adjusted": share, "box": changed_box(images, ours)}
    theirs.make_params = lambda flat_inputs: drawn
    their_images, their_labels = theirs(images, labels)
    assert 0 < share < 1
    assert (ours - their_images).abs().max() < 1e-15
    own = share * labels + (1 - share) * labels.roll(1, 0)
    assert (own - their_labels).abs().max() < 1e-15


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_cross_entropy_is_that_of_mixed_one_hot_labels_with_its_gradient(kind: str) -> None:
    labels = torch.tensor([0, 2, 1, 2, 0])
    _, targets = mix(kind, double(5, 1, 8, 8), labels, generator("one-hot"))
    ((share, _), (rest, others)) = targets
    assert 0 < share < 1
    logits = double(5, CLASSES, seed=1).requires_grad_()
    own, other = (F.one_hot(some, CLASSES).double() for some in (labels, others))
    one_hot = share * own + rest * other
    ours = mixed_loss(lambda own: F.cross_entropy(logits, own), targets)
    theirs = -(one_hot * logits.log_softmax(1)).sum(1).mean()
    gradients = [torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (ours, theirs)]
    assert (ours - theirs).abs() < 1e-12
    assert (gradients[0] - gradients[1]).abs().max() < 1e-12


def test_what_is_not_mixed_has_the_plain_loss_to_the_last_bit() -> None:
    labels, logits = torch.tensor([0, 2, 1]), torch.randn(3, CLASSES, generator=generator("plain"))
    _, targets = mix("none", double(3, 1, 8, 8), labels, generator("none"))
    leaf = logits.clone().requires_grad_()
    ours = mixed_loss(lambda own: F.cross_entropy(leaf, own), targets)
    theirs = torch.stack([share * F.cross_entropy(leaf, own) for share, own in targets]).sum()
    assert torch.equal(ours, theirs)
    gradients = [torch.autograd.grad(loss, leaf)[0] for loss in (ours, theirs)]
    assert torch.equal(*gradients)


@pytest.mark.parametrize("kind", KINDS)
def test_repeats_for_a_generator_and_leaves_images_and_global_randomness_alone(kind: str) -> None:
    images, labels = double(4, 1, 8, 8), torch.arange(4)
    kept, before = images.clone(), torch.get_rng_state()
    first, again, other = (mix(kind, images, labels, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first[0], again[0])
    assert first[1][0][0] == again[1][0][0] != other[1][0][0]
    assert torch.equal(images, kept)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_mixing_draws_nothing() -> None:
    rng = generator("none")
    before = rng.get_state()
    images, labels = double(4, 1, 8, 8), torch.arange(4)
    same, ((share, own),) = mix("none", images, labels, rng)
    assert same is images
    assert (share, own is labels) == (1, True)
    assert torch.equal(rng.get_state(), before)


HARD = torch.arange(3).repeat_interleave(3)
SOFT = double(9, CLASSES, seed=2).float()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("loss", "labels", "taught"),
    [
        ("cross-entropy", HARD, False),
        ("cross-entropy", SOFT, False),
        ("cross-entropy", HARD, True),
        ("l1-logits", SOFT, False),
        ("mse-logits", SOFT, False),
    ],
)
def test_a_student_trains_on_mixed_batches_like_a_plain_loop(
    kind: str, loss: str, labels: Tensor, taught: bool
) -> None:
    """One step for all images, so that every draw can be replayed from the scope's streams."""
    rule = KnowledgeDistillation(teacher=NETWORK) if taught else None
    recipe = replace(RECIPE, batch=9, mixing=kind, loss=loss, distillation=rule, weight_decay=0.0)
    source = SyntheticSet(images=double(9, *SPEC.shape).float(), labels=labels)
    teacher = networks.build(NETWORK, SPEC, generator("teacher")).requires_grad_(False).eval()
    student = start_training(
        source, NETWORK, recipe, tiny_pair().train, ("s", 0), teacher if taught else None
    )
    student.run_epoch()

    network = networks.build(NETWORK, SPEC, generator("s", 0, "weights"))
    order = torch.randperm(9, generator=generator("s", 0, "shuffle"))
    images, targets = mix(kind, source.images[order], labels[order], generator("s", 0, "augment"))
    logits = network(images)
    expected = torch.zeros(())
    for share, own in targets:
        if rule is None:
            expected = expected + share * LOSSES[loss](logits, own)
        else:
            expected = expected + share * distillation_loss(logits, own, teacher(images), rule)
    expected.backward()
    gradient = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    start = networks.flatten(networks.build(NETWORK, SPEC, generator("s", 0, "weights")))
    moved = networks.flatten(student.network) - start
    assert (moved + recipe.lr * gradient).abs().max() < 1e-6
