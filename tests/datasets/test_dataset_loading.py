"""Loading, splitting and caching."""

from __future__ import annotations

import hashlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_files import random_pixels, write_image, write_tree

from bench import datasets, files
from bench.datasets import cache as caching
from bench.datasets.custom import Custom
from bench.errors import InvalidValue, MissingData, UnknownName
from bench.preprocessing import Preprocessing, Whitening


@pytest.fixture
def pets(root: Path) -> str:
    """Two classes of 30 training and 2 test images."""
    for part, count in (("train", 30), ("test", 2)):
        pixels = random_pixels(2 * count, 1, 8, 8, seed=count)
        write_tree(root / "pets" / part, {"cat": pixels[:count], "dog": pixels[count:]})
    return f"pets={root / 'pets'}"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The datasets that were read from their source, in order."""
    seen: list[str] = []
    read = Custom.read

    def counted(self: Custom) -> object:
        seen.append(self.name)
        return read(self)

    monkeypatch.setattr(Custom, "read", counted)
    return seen


def entry(cache: Path) -> Path:
    (folder,) = (cache / "datasets").iterdir()
    return folder


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)


def test_digits_is_split_by_the_published_rule() -> None:
    pair = datasets.load("digits")
    assert (len(pair.train), len(pair.test)) == (1347, 450)
    assert pair.train.checksum == "972595f52e7cfe9522fa124e5b76cd3df943ba9ef03d5e4b23c03ffbc1d5a7c7"
    assert pair.test.checksum == "111ff0e1357d150b6791c02a611415fdd75c14879b533f29377a46f6f499e783"
    assert np.bincount(pair.test.labels).tolist() == [44, 46, 44, 46, 45, 46, 45, 45, 44, 45]


def test_digits_statistics_are_those_of_its_training_part() -> None:
    pair = datasets.load("digits")
    unit = pair.train.pixels.double() / 255
    assert pair.spec.mean == pytest.approx([unit.mean().item()], abs=5.1e-5)
    assert pair.spec.std == pytest.approx([unit.std(correction=0).item()], abs=5.1e-5)


def test_digits_pixels_are_rounded_sixteenths() -> None:
    values = set(datasets.load("digits").train.pixels.unique().tolist())
    assert values == {round(value * 255 / 16) for value in range(17)}


def test_validation_splits_the_training_images_alone(pets: str) -> None:
    whole = datasets.load(pets).train
    pair = datasets.load(pets, split="validation")
    assert (len(pair.train), len(pair.test)) == (54, 6)
    assert torch.bincount(pair.test.labels).tolist() == [3, 3]
    joined = torch.cat([pair.train.pixels, pair.test.pixels])
    assert sorted(map(bytes, joined.numpy())) == sorted(map(bytes, whole.pixels.numpy()))
    assert len({whole.checksum, pair.train.checksum, pair.test.checksum}) == 3


def test_validation_never_opens_the_test_images(pets: str, cache: Path) -> None:
    datasets.load(pets)
    (entry(cache) / "test.safetensors").unlink()
    datasets.load(pets, split="validation")
    assert not (entry(cache) / "test.safetensors").exists()


def test_the_validation_split_of_digits_is_pinned() -> None:
    pair = datasets.load("digits", split="validation")
    assert (len(pair.train), len(pair.test)) == (1211, 136)
    assert pair.test.checksum == "21faf1e3e8dcea5f1bccb51b18764dd1def60604edf1493620387b5ccce30b11"


def test_a_class_of_one_image_has_no_validation_split(root: Path) -> None:
    for part in ("train", "test"):
        write_tree(
            root / "few" / part,
            {"a": random_pixels(1, 1, 8, 8, seed=1), "b": random_pixels(1, 1, 8, 8, seed=2)},
        )
    with pytest.raises(InvalidValue, match="two or more"):
        datasets.load(f"few={root / 'few'}", split="validation")


def test_checksums_are_those_of_pixels_and_labels(pets: str) -> None:
    pair = datasets.load(pets)
    for part in (pair.train, pair.test):
        tensors = {"pixels": part.pixels, "labels": part.labels}
        assert part.checksum == files.tensors_digest(tensors, {})


def test_the_second_load_comes_from_the_cache(pets: str, reads: list[str]) -> None:
    first = datasets.load(pets)
    second = datasets.load(pets)
    assert reads == ["pets"]
    assert torch.equal(first.train.pixels, second.train.pixels)
    assert first.train.checksum == second.train.checksum


def test_a_changed_source_is_read_anew(pets: str, root: Path, reads: list[str]) -> None:
    before = datasets.load(pets).train
    write_image(root / "pets" / "train" / "cat" / "000.png", random_pixels(1, 8, 8, seed=9))
    after = datasets.load(pets).train
    assert reads == ["pets", "pets"]
    assert after.checksum != before.checksum


def test_a_source_touched_later_is_read_anew(pets: str, root: Path, reads: list[str]) -> None:
    datasets.load(pets)
    os.utime(root / "pets" / "train" / "cat" / "000.png", (1, 1))
    assert not datasets.facts(pets).cached
    datasets.load(pets)
    assert reads == ["pets", "pets"]


@pytest.mark.parametrize("name", ["train.safetensors", "test.safetensors", "facts.json"])
@pytest.mark.parametrize("damage", [flip_a_bit, lambda path: path.write_bytes(b"{}")])
def test_a_damaged_entry_is_rebuilt_with_a_word_about_it(
    pets: str,
    cache: Path,
    reads: list[str],
    name: str,
    damage: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    checksum = datasets.load(pets).train.checksum
    damage(entry(cache) / name)
    with caplog.at_level(logging.WARNING):
        assert datasets.load(pets).train.checksum == checksum
    assert reads == ["pets", "pets"]
    assert "is read anew" in caplog.text
    datasets.load(pets)
    assert reads == ["pets", "pets"]


def test_files_of_two_readings_do_not_mix(
    pets: str, root: Path, cache: Path, reads: list[str]
) -> None:
    datasets.load(pets)
    old = (entry(cache) / "train.safetensors").read_bytes()
    write_image(root / "pets" / "train" / "cat" / "000.png", random_pixels(1, 8, 8, seed=9))
    new = datasets.load(pets).train.checksum
    (entry(cache) / "train.safetensors").write_bytes(old)
    assert datasets.load(pets).train.checksum == new


def test_a_new_reading_rule_makes_a_new_entry(
    pets: str, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets.load(pets)
    monkeypatch.setattr(caching, "FORMAT", caching.FORMAT + 1)
    datasets.load(pets)
    assert reads == ["pets", "pets"]


def test_zca_is_fitted_to_the_training_part_alone(pets: str) -> None:
    for split in ("test", "validation"):
        pair = datasets.load(pets, split=split, preprocessing="zca")
        assert pair.train.preprocessing is pair.test.preprocessing
        expected = Preprocessing.fit_zca(pair.train.pixels)
        assert pair.train.preprocessing.digest == expected.digest
        torch.testing.assert_close(pair.test.images(), expected.forward(pair.test.pixels))


def test_zca_is_fitted_once_and_again_when_damaged(
    pets: str, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fits: list[int] = []
    fit = Whitening.fit.__func__

    def counted(cls: type[Whitening], pixels: torch.Tensor, epsilon: float) -> Whitening:
        fits.append(len(pixels))
        return fit(cls, pixels, epsilon)

    monkeypatch.setattr(Whitening, "fit", classmethod(counted))
    digests = [datasets.load(pets, preprocessing="zca").train.preprocessing.digest]
    digests.append(datasets.load(pets, preprocessing="zca").train.preprocessing.digest)
    assert fits == [60]
    (saved,) = entry(cache).glob("zca-*")
    flip_a_bit(saved)
    digests.append(datasets.load(pets, preprocessing="zca").train.preprocessing.digest)
    assert fits == [60, 60]
    assert "fitted anew" in caplog.text
    assert len(set(digests)) == 1


def test_missing_data_says_where_it_looked_and_what_to_run(root: Path) -> None:
    with pytest.raises(MissingData) as error:
        datasets.load("fashion-mnist", data_root=root / "x")
    assert str(error.value) == (
        f"Fashion-MNIST is not under {root / 'x'}. Run `bench data fetch fashion-mnist --data-root "
        f"{root / 'x'}`, or set BENCH_DATA to a folder that holds FashionMNIST/raw."
    )
    with pytest.raises(MissingData, match="register at image-net"):
        datasets.load("imagenet-1k-64")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'digits'"):
        datasets.load("digit")
    with pytest.raises(UnknownName, match="No split named 'train'"):
        datasets.load("digits", split="train")
    with pytest.raises(UnknownName, match="No preprocessing named 'whiten'"):
        datasets.load("digits", preprocessing="whiten")


def test_the_lossless_subset_is_what_was_published(real_data: Path) -> None:
    pair = datasets.load("cifar10-lossless-6k", data_root=real_data)
    assert (len(pair.train), len(pair.test)) == (5_085, 1_017)
    labels = pair.train.labels.tolist()
    held = datasets.load("cifar10-lossless-6k", data_root=real_data, split="validation").test
    assert len(held) == 509
    ranked = sorted(
        (i for i, label in enumerate(labels) if label == 3),
        key=lambda i: hashlib.sha256(f"cifar10-lossless-6k:{i}".encode()).digest(),
    )
    cats = sorted(ranked[: round(len(ranked) / 10)])
    torch.testing.assert_close(held.pixels[held.labels == 3], pair.train.pixels[cats])


def test_loads_at_the_same_time_agree(pets: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        pairs = list(pool.map(lambda _: datasets.load(pets), range(8)))
    assert len({pair.train.checksum for pair in pairs}) == 1
    assert all(torch.equal(pair.train.pixels, pairs[0].train.pixels) for pair in pairs)
