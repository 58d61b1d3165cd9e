"""The gallery: pixels through the artefact's own header, the nearest real image, fixed samples."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench import artifacts, datasets
from bench.data import RealSet, SyntheticSet
from bench.generators import SyntheticGenerator
from bench.networks.gan import GanShape, build_gan
from bench.preprocessing import Preprocessing
from bench.randomness import generator
from bench.records import Record
from bench.specs import Budget, DatasetSpec, Header
from bench.store import Store
from leaderboard.site.gallery import PER_CLASS, Exhibit, gallery
from leaderboard.site.reals import nearest
from leaderboard.tables import tables

SPEC = DatasetSpec(
    name="far-away", classes=("cat", "dog"), channels=1, size_px=4, mean=(0.25,), std=(0.5,)
)
Sample = Callable[..., list[Record]]


def header(space: Preprocessing, **facts: object) -> Header:
    known = {"dataset": SPEC.name, "classes": SPEC.classes, "budget": Budget("ipc", 2)}
    stated = known | {"preprocessing": space.header(), "method": "dm"} | facts
    return Header(**stated)  # type: ignore[arg-type]


def kept(root: Path, source: SyntheticSet | SyntheticGenerator) -> str:
    """Save a source as an artefact of the store ``root``; return its name."""
    path = root / "set.safetensors"
    sha256 = artifacts.save(source, path)
    Store(root).artifact(sha256).parent.mkdir(exist_ok=True)
    path.rename(Store(root).artifact(sha256))
    return sha256


def stored(root: Path, pixels: torch.Tensor, labels: torch.Tensor) -> str:
    """Save pixels in [0, 1] as a set in the dataset's own pixel space; return its name."""
    space = Preprocessing.normalize(SPEC)
    images = space.encode(pixels)
    return kept(root, SyntheticSet(images=images, labels=labels, header=header(space)))


def shown(
    root: Path, records: list[Record], data_root: Path | None = None
) -> tuple[Exhibit, dict[str, bytes]]:
    (exhibit,), files = gallery(tables(records), [root], data_root)
    return exhibit, files


def png(content: bytes) -> torch.Tensor:
    """``(H, W)`` values of a grey picture, 0 to 255."""
    with Image.open(io.BytesIO(content)) as image:
        return torch.from_numpy(np.array(image)).float()


def test_images_return_to_pixels_and_are_clipped(tmp_path: Path, sample: Sample) -> None:
    pixels = torch.linspace(-0.2, 1.2, 64).view(4, 1, 4, 4)
    sha256 = stored(tmp_path, pixels, torch.tensor([0, 0, 1, 1]))
    exhibit, files = shown(tmp_path, sample("dm", [0.5], dataset=SPEC.name, artifact=sha256))
    assert [picture.label for picture in exhibit.pictures] == ["cat", "cat", "dog", "dog"]
    for picture, expected in zip(exhibit.pictures, pixels, strict=True):
        found = png(files[picture.image])
        assert (found / 255 - expected[0].clamp(0, 1)).abs().max() <= 0.5 / 255 + 1e-6


def test_without_the_data_images_stand_alone_with_a_sentence(
    tmp_path: Path, sample: Sample
) -> None:
    sha256 = stored(tmp_path, torch.rand(2, 1, 4, 4), torch.tensor([0, 1]))
    exhibit, _ = shown(tmp_path, sample("dm", [0.5], dataset=SPEC.name, artifact=sha256))
    assert [picture.nearest for picture in exhibit.pictures] == [None, None]
    assert "Real images are left out" in exhibit.remark


def test_of_each_class_the_first_images_are_shown(tmp_path: Path, sample: Sample) -> None:
    sha256 = stored(tmp_path, torch.rand(9, 1, 4, 4), torch.tensor([1, 1, 1, 1, 1, 0, 0, 0, 0]))
    exhibit, _ = shown(tmp_path, sample("dm", [0.5], dataset=SPEC.name, artifact=sha256))
    assert [picture.label for picture in exhibit.pictures] == ["cat"] * PER_CLASS + (
        ["dog"] * PER_CLASS
    )
    assert exhibit.total == 9


def test_soft_labels_are_named_by_their_likeliest_class(tmp_path: Path, sample: Sample) -> None:
    logits = torch.tensor([[0.0, 2.0], [5.0, 0.0]])
    sha256 = stored(tmp_path, torch.rand(2, 1, 4, 4), logits)
    exhibit, _ = shown(tmp_path, sample("dm", [0.5], dataset=SPEC.name, artifact=sha256))
    assert [picture.label for picture in exhibit.pictures] == ["cat (99%)", "dog (88%)"]


def test_an_artefact_that_no_store_holds_is_left_out(tmp_path: Path, sample: Sample) -> None:
    found = tables(sample("dm", [0.5], artifact="a" * 64))
    assert gallery(found, [tmp_path], None) == ([], {})


def test_a_damaged_artefact_is_told_and_the_others_are_shown(
    tmp_path: Path, sample: Sample
) -> None:
    good = stored(tmp_path, torch.rand(2, 1, 4, 4), torch.tensor([0, 1]))
    bad = stored(tmp_path, torch.rand(2, 1, 4, 4), torch.tensor([0, 1]))
    path = Store(tmp_path).artifact(bad)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found = sample("dm", [0.5], dataset=SPEC.name, artifact=bad)
    found += sample("herding", [0.5], dataset=SPEC.name, artifact=good)
    exhibits, _ = gallery(tables(found), [tmp_path], None)
    assert [(item.row.method, len(item.pictures)) for item in exhibits] == [
        ("dm", 0),
        ("herding", 2),
    ]
    assert "damaged" in exhibits[0].remark


def test_the_nearest_image_is_that_of_an_exhaustive_search() -> None:
    rng = generator("nearest")
    pixels = torch.randint(256, (50, 3, 4, 4), generator=rng, dtype=torch.uint8)
    real = RealSet(
        pixels=pixels,
        labels=torch.zeros(50, dtype=torch.int64),
        spec=SPEC,
        preprocessing=Preprocessing.normalize(SPEC),
        checksum="",
    )
    queries = torch.rand(6, 3, 4, 4, generator=rng)
    queries[0] = pixels[17].float() / 255
    distances, index = nearest(queries, real)
    for query, distance, found in zip(queries, distances, index, strict=True):
        squares = [((query.double() - one.double() / 255) ** 2).mean() for one in pixels]
        assert int(found) == int(torch.stack(squares).argmin())
        assert float(distance) == pytest.approx(float(torch.stack(squares).min().sqrt()), abs=1e-6)
    assert int(index[0]) == 17


def of_digits(root: Path, space: str) -> tuple[str, RealSet]:
    """Two real digits as a set in a pixel space; its name, and all training images."""
    real = datasets.load("digits", preprocessing=space).train
    some = real.subset(torch.tensor([5, 9]))
    stated = header(real.preprocessing, dataset="digits", classes=real.spec.classes)
    return kept(root, replace(some, header=stated)), real


def test_real_images_of_the_recorded_data_stand_beside(tmp_path: Path, sample: Sample) -> None:
    sha256, _ = of_digits(tmp_path, "normalize")
    checksum = datasets.facts("digits").checksum
    exhibit, _ = shown(tmp_path, sample("random", [0.5], checksum=checksum, artifact=sha256))
    assert all(picture.image == picture.nearest for picture in exhibit.pictures)
    assert all(picture.distance < 1e-6 for picture in exhibit.pictures)
    other, _ = shown(tmp_path, sample("random", [0.5], checksum="0" * 64, artifact=sha256))
    assert all(picture.nearest is None for picture in other.pictures)


def test_whitened_images_return_to_pixels_through_the_whitening_of_their_own_data(
    tmp_path: Path, sample: Sample
) -> None:
    sha256, real = of_digits(tmp_path, "zca")
    checksum = datasets.facts("digits").checksum
    exhibit, files = shown(tmp_path, sample("dm", [0.5], checksum=checksum, artifact=sha256))
    assert exhibit.remark == ""
    by_class = sorted((5, 9), key=lambda position: int(real.labels[position]))
    for picture, position in zip(exhibit.pictures, by_class, strict=True):
        difference = png(files[picture.image]) - real.pixels[position, 0].float()
        assert difference.abs().max() <= 1  # rounding to eight bits
        assert picture.distance < 0.01


def test_whitened_images_of_other_data_are_not_shown(tmp_path: Path, sample: Sample) -> None:
    sha256, _ = of_digits(tmp_path, "zca")
    exhibit, files = shown(tmp_path, sample("dm", [0.5], checksum="0" * 64, artifact=sha256))
    assert (exhibit.pictures, files) == ((), {})
    assert "ZCA-whitened and the training images are not at hand" in exhibit.remark


def test_a_generator_shows_a_sample_that_is_always_the_same(tmp_path: Path, sample: Sample) -> None:
    shape = GanShape(num_classes=2, channels=1, size_px=8, latent=4, width=8)
    network, _ = build_gan(shape, generator("gallery"))
    space = Preprocessing.normalize(SPEC)
    source = SyntheticGenerator.of(network, shape, space, per_class=50)
    sha256 = kept(tmp_path, replace(source, header=header(space, budget=Budget("inpc", 50))))
    made = sample("dim", [0.5], dataset=SPEC.name, budget="inpc 50", artifact=sha256)
    exhibit, files = shown(tmp_path, made)
    assert exhibit.total is None
    assert [picture.label for picture in exhibit.pictures] == ["cat"] * PER_CLASS + (
        ["dog"] * PER_CLASS
    )
    drawn, _ = source.with_budget(PER_CLASS).epoch(generator("gallery", sha256))
    for picture, image in zip(exhibit.pictures, space.inverse(drawn), strict=True):
        assert (png(files[picture.image]) - 255 * image[0].clamp(0, 1)).abs().max() <= 0.51
