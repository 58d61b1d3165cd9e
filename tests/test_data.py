"""Real and synthetic data: what is handed out, and what is refused."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.data import RealSet, SyntheticSet, SyntheticSource, merge
from bench.datasets import RealPair
from bench.errors import ContractError, NotApplicable
from bench.randomness import generator
from bench.specs import Budget, Header
from tests.fakes import SPEC, NoiseGenerator, tiny_pair


def by_hand(real: RealSet) -> Tensor:
    """Every image in model-input space, in float64."""
    return (real.pixels.double() / 255 - 0.5) / 0.25


@pytest.fixture(params=["kept", "mapped on access"])
def real(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RealSet:
    """A set that keeps its preprocessed images, and one that is too large for that."""
    if request.param == "mapped on access":
        monkeypatch.setattr("bench.data.DENSE_LIMIT_BYTES", 100)
    return tiny_pair().train


@pytest.mark.parametrize("index", [slice(None), slice(3, 9), torch.tensor([5, 0, 5])], ids=str)
def test_images_are_the_pixels_in_model_input_space(real: RealSet, index: Any) -> None:
    torch.testing.assert_close(real.images(index).double(), by_hand(real)[index], rtol=0, atol=1e-6)
    assert torch.equal(real.targets(index), real.labels[index])
    assert real.images(index).dtype == torch.float32


def test_class_indices_are_the_places_of_each_class(real: RealSet) -> None:
    for label, places in enumerate(real.class_indices):
        assert places.tolist() == [i for i, own in enumerate(real.labels.tolist()) if own == label]


@pytest.mark.parametrize("count", [1, 20, 99])
def test_a_class_is_drawn_without_replacement(real: RealSet, count: int) -> None:
    drawn = real.draw_class(1, count, generator("draw")).flatten(1).tolist()
    pool = real.images(real.class_indices[1]).flatten(1).tolist()
    assert len(drawn) == min(count, 20)
    assert len({tuple(row) for row in drawn}) == len(drawn)
    assert all(row in pool for row in drawn)


def test_a_draw_brings_its_labels_along(real: RealSet) -> None:
    images, labels = real.draw(7, generator("draw"))
    rows = real.images().flatten(1).tolist()
    places = [rows.index(row) for row in images.flatten(1).tolist()]
    assert len(set(places)) == 7
    assert real.labels[places].tolist() == labels.tolist()


def test_a_subset_is_sorted_by_class_and_owns_its_memory(real: RealSet) -> None:
    before = real.images().clone()
    subset = real.subset(torch.tensor([8, 3, 5, 1]))
    assert subset.labels.tolist() == sorted(real.labels[[8, 3, 5, 1]].tolist())
    subset.images.zero_()
    assert torch.equal(real.images(), before)


def test_a_set_on_its_own_device_is_itself(tiny: RealPair) -> None:
    assert tiny.train.to("cpu") is tiny.train
    assert tiny.train.to("meta").device.type == "meta"


def test_a_real_set_survives_pickling(real: RealSet) -> None:
    real.images()
    again = pickle.loads(pickle.dumps(real))
    assert torch.equal(again.images(), real.images())
    assert again.checksum == real.checksum


def test_stored_bytes_are_what_must_be_kept() -> None:
    assert tiny_pair().train.stored_bytes == 60 * (64 + 8)
    images = torch.zeros(3, 1, 8, 8)
    assert SyntheticSet(images=images, labels=torch.arange(3)).stored_bytes == 3 * (256 + 8)
    soft = SyntheticSet(images=images, labels=torch.zeros(3, 3), learning_rate=0.1)
    assert soft.stored_bytes == 3 * (256 + 12) + 4


GOOD = SyntheticSet(images=torch.zeros(3, 1, 8, 8), labels=torch.arange(3))
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "size": ({"images": torch.zeros(3, 1, 8, 9)}, r"images must be \(N, C, H, W\) of 1×8×8"),
    "empty": ({"images": torch.zeros(0, 1, 8, 8), "labels": torch.arange(0)}, "no images"),
    "bytes": ({"images": torch.zeros(3, 1, 8, 8).byte()}, "images are torch.uint8"),
    "count": ({"labels": torch.arange(2)}, "3 images but 2 labels"),
    "logits": ({"labels": torch.zeros(3, 2)}, r"\(N, 3\) logits, not \(3, 2\)"),
    "rank": ({"labels": torch.zeros(3, 3, 1)}, r"\(N, 3\) logits"),
    "int32": ({"labels": torch.arange(3).int()}, "class indices must be int64"),
    "float classes": ({"labels": torch.zeros(3)}, "class indices must be int64"),
    "negative": ({"labels": torch.tensor([0, -1, 2])}, r"labels must lie in \[0, 3\)"),
    "too large": ({"labels": torch.tensor([0, 1, 3])}, r"labels must lie in \[0, 3\)"),
    "one-hot": ({"labels": torch.eye(3).long()}, "logits must be floating point"),
    "NaN": ({"images": torch.full((3, 1, 8, 8), torch.nan)}, "images hold NaN"),
    "infinite": ({"labels": torch.full((3, 3), torch.inf)}, "labels hold NaN or infinity"),
    "rate": ({"learning_rate": 0.0}, "learning rate is 0.0; it must be positive"),
    "NaN rate": ({"learning_rate": float("nan")}, "it must be positive"),
}


def test_a_set_that_fits_is_returned() -> None:
    assert GOOD.check(SPEC) is GOOD
    replace(GOOD, labels=torch.zeros(3, 3), learning_rate=0.1).check(SPEC)


@pytest.mark.parametrize("what", BAD)
def test_a_set_that_does_not_fit_is_refused(what: str) -> None:
    changes, message = BAD[what]
    with pytest.raises(ContractError, match=message):
        replace(GOOD, **changes).check(SPEC)


def test_a_set_is_a_torch_dataset_of_pairs() -> None:
    dataset = GOOD.to_dataset()
    image, label = dataset[2]
    assert len(dataset) == 3
    assert torch.equal(image, GOOD.images[2])
    assert label == 2


def numbered(value: float, **changes: Any) -> SyntheticSet:
    """A set whose images all hold one value."""
    return replace(GOOD, images=torch.full((3, 1, 8, 8), value), **changes)


def test_merged_sets_keep_every_image_with_its_label_in_order() -> None:
    merged = merge([numbered(1.0), numbered(2.0, labels=torch.tensor([2, 1, 0])), numbered(3.0)])
    assert isinstance(merged, SyntheticSet)
    assert merged.images[:, 0, 0, 0].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert merged.labels.tolist() == [0, 1, 2, 2, 1, 0, 0, 1, 2]
    assert merged.check(SPEC) is merged
    assert merged.stored_bytes == 3 * GOOD.stored_bytes


def test_soft_labels_are_merged_as_they_are() -> None:
    soft = [numbered(1.0, labels=torch.eye(3)), numbered(2.0, labels=-torch.eye(3))]
    merged = merge(soft)
    assert isinstance(merged, SyntheticSet)
    assert torch.equal(merged.labels, torch.cat([torch.eye(3), -torch.eye(3)]))


@pytest.mark.parametrize(
    ("rates", "merged"),
    [((None, None), None), ((0.1, 0.3), 0.2), ((0.1, None), 0.1)],
)
def test_learned_learning_rates_are_averaged(
    rates: tuple[float | None, ...], merged: float | None
) -> None:
    found = merge([replace(GOOD, learning_rate=rate) for rate in rates]).learning_rate
    assert found == (None if merged is None else pytest.approx(merged))


def test_a_merged_set_does_not_claim_to_be_one_of_its_parts() -> None:
    header = Header(
        dataset="tiny", classes=SPEC.classes, budget=Budget("ipc", 1), preprocessing={}, method="dm"
    )
    merged = merge([replace(GOOD, header=header)] * 2)
    assert isinstance(merged, SyntheticSet)
    assert merged.header is None


@pytest.mark.parametrize("alone", [GOOD, NoiseGenerator(labels=torch.arange(3)), tiny_pair().train])
def test_a_single_source_stays_what_it_is(alone: SyntheticSource) -> None:
    assert merge([alone]) is alone


@pytest.mark.parametrize(
    "other",
    [
        NoiseGenerator(labels=torch.arange(3)),
        tiny_pair().train,
        replace(GOOD, labels=torch.zeros(3, 3)),
    ],
    ids=["generator", "real set", "soft labels"],
)
def test_what_is_no_set_with_the_same_kind_of_labels_is_not_merged(other: SyntheticSource) -> None:
    for sources in ([GOOD, other], [other, GOOD]):
        with pytest.raises(NotApplicable, match="only sets of images with labels of one kind"):
            merge(sources)
