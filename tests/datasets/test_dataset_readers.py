"""Each layout, written as its authors do and read back exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dataset_files import (
    encode,
    random_pixels,
    write_mnist,
    write_parquet,
    write_pickle,
    write_tiny_imagenet,
    write_tree,
    zip_folder,
)

from bench.datasets import arrays, builtin
from bench.datasets.dataset import Part
from bench.datasets.readers.cifar import Cifar
from bench.datasets.readers.imagenet import ImageNet64, TinyImageNet
from bench.datasets.readers.parquet import Parquet
from bench.datasets.readers.torchvision_sets import Mnist, Svhn
from bench.specs import DatasetSpec

LABELS = np.array([0, 1, 2, 2, 1, 0], np.uint8)


def spec(channels: int, size_px: int, classes: tuple[str, ...] = ("a", "b", "c")) -> DatasetSpec:
    constants = (0.5,) * channels
    return DatasetSpec(
        name="toy",
        classes=classes,
        channels=channels,
        size_px=size_px,
        mean=constants,
        std=constants,
    )


def assert_part(part: Part, pixels: np.ndarray, labels: np.ndarray) -> None:
    assert part.pixels.dtype == np.uint8
    assert part.labels.dtype == np.int64
    np.testing.assert_array_equal(part.pixels, pixels)
    np.testing.assert_array_equal(part.labels, labels)


def test_mnist_files_come_back_exactly(root: Path) -> None:
    pixels = random_pixels(6, 28, 28)
    write_mnist(root / "MNIST" / "raw", (pixels, LABELS), (pixels[::-1], LABELS[:3]))
    reader = Mnist("MNIST")
    assert len(reader.files(root)) == 4
    write_mnist(root / "MNIST" / "raw", (pixels, LABELS), (pixels[3:], LABELS[3:]))
    train, test = reader.read(root, spec(1, 28))
    assert_part(train, pixels[:, None], LABELS)
    assert_part(test, pixels[3:, None], LABELS[3:])


def test_a_missing_file_makes_the_dataset_missing(root: Path) -> None:
    pixels = random_pixels(6, 28, 28)
    write_mnist(root / "MNIST" / "raw", (pixels, LABELS), (pixels, LABELS))
    (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    assert Mnist("MNIST").files(root) == ()


def test_svhn_stores_its_zero_as_ten(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    from scipy.io import savemat
    from torchvision.datasets import SVHN

    pixels = random_pixels(4, 3, 32, 32)
    for part in ("train", "test"):
        path = root / f"{part}_32x32.mat"
        labels = np.array([[10], [1], [2], [10]], np.uint8)
        savemat(path, {"X": pixels.transpose(2, 3, 1, 0), "y": labels})
        md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        monkeypatch.setitem(SVHN.split_list, part, ["", path.name, md5])
    train, test = Svhn().read(root, spec(3, 32))
    assert_part(train, pixels, np.array([0, 1, 2, 0]))
    assert_part(test, pixels, np.array([0, 1, 2, 0]))


def test_cifar_batches_are_joined_in_order(root: Path) -> None:
    pixels = random_pixels(6, 3, 32, 32)
    flat = pixels.reshape(6, -1)
    folder = root / "cifar"

    def batch(name: str, rows: slice) -> tuple[str, str]:
        content = {"data": flat[rows], "fine_labels": LABELS[rows].tolist(), "batch_label": "x"}
        return name, write_pickle(folder / name, content)

    reader = Cifar(
        layout="cifar",
        train=(batch("one", slice(0, 2)), batch("two", slice(2, 5))),
        test=(batch("three", slice(5, 6)),),
        labels="fine_labels",
    )
    train, test = reader.read(root, spec(3, 32))
    assert_part(train, pixels[:5], LABELS[:5])
    assert_part(test, pixels[5:], LABELS[5:])


def test_parquet_rows_keep_their_order(root: Path) -> None:
    pixels = random_pixels(6, 3, 8, 8)
    images = [encode(image) for image in pixels]
    for part, rows in (("train", slice(0, 4)), ("test", slice(4, 6))):
        write_parquet(root / "toy" / f"{part}.parquet", images[rows], LABELS[rows].tolist())
    train, test = Parquet("toy").read(root, spec(3, 8))
    assert_part(train, pixels[:4], LABELS[:4])
    assert_part(test, pixels[4:], LABELS[4:])


@pytest.mark.parametrize("packed", [False, True])
def test_tiny_imagenet_is_read_as_folder_and_as_archive(root: Path, packed: bool) -> None:
    wnids = ("n01443537", "n01629819")
    train_pixels = {wnid: random_pixels(2, 3, 8, 8, seed=seed) for seed, wnid in enumerate(wnids)}
    folder = root / "tiny-imagenet-200"
    test_pixels = write_tiny_imagenet(folder, train_pixels, [wnids[1], wnids[0]])
    if packed:
        zip_folder(folder, root / "tiny-imagenet-200.zip")
        folder.rename(root / "elsewhere")
    reader = TinyImageNet()
    assert (len(reader.files(root)) == 1) == packed
    train, test = reader.read(root, spec(3, 8, wnids))
    assert_part(train, np.concatenate(list(train_pixels.values())), np.array([0, 0, 1, 1]))
    assert_part(test, test_pixels, np.array([1, 0]))


def test_imagenet_batches_are_relabelled_by_sorted_wnid(root: Path) -> None:
    folder = root / "imagenet-1k-64"
    folder.mkdir()
    pixels = random_pixels(6, 3, 8, 8)

    def write(name: str, rows: slice, labels: list[int]) -> None:
        np.savez(folder / name, data=pixels[rows].reshape(-1, 192), labels=labels, mean=pixels[0])

    write("train_data_batch_1.npz", slice(0, 2), [1, 2])
    write("train_data_batch_2.npz", slice(2, 4), [3, 1])
    write("val_data.npz", slice(4, 6), [2, 3])
    reader = ImageNet64(batch_order=("n3", "n1", "n2"), train_batches=2)
    train, test = reader.read(root, spec(3, 8, ("n1", "n2", "n3")))
    assert_part(train, pixels[:4], np.array([2, 0, 1, 2]))
    assert_part(test, pixels[4:], np.array([0, 1]))


def test_imagenet_is_read_from_class_folders_too(root: Path) -> None:
    pixels = random_pixels(4, 3, 8, 8)
    write_tree(root / "imagenet-1k-64" / "train", {"n1": pixels[:2], "n2": pixels[2:3]})
    write_tree(root / "imagenet-1k-64" / "val", {"n2": pixels[3:]})
    reader = ImageNet64(batch_order=("n2", "n1"))
    assert len(reader.files(root)) == 4
    train, test = reader.read(root, spec(3, 8, ("n1", "n2")))
    assert_part(train, pixels[:3], np.array([0, 0, 1]))
    assert_part(test, pixels[3:], np.array([1]))


def test_large_arrays_are_mapped_from_a_file_that_leaves_no_trace(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 40)
    pixels = random_pixels(9, 1, 4, 4)
    chosen = arrays.take(pixels, np.array([8, 0, 3]))
    assert isinstance(chosen, np.memmap)
    np.testing.assert_array_equal(chosen, pixels[[8, 0, 3]])
    assert list(cache.iterdir()) == []


def test_channel_statistics_agree_with_float64_numpy() -> None:
    pixels = random_pixels(50, 3, 5, 5)
    unit = pixels / 255
    mean, std = arrays.statistics(pixels)
    np.testing.assert_allclose(mean, unit.mean((0, 2, 3)), atol=5.1e-5)
    np.testing.assert_allclose(std, unit.std((0, 2, 3)), atol=5.1e-5)


def nearest_class_means(one: Part, other: Part) -> list[int]:
    """For each class mean of ``one`` the nearest of ``other``; labels out of step would show."""

    def means(part: Part) -> np.ndarray:
        rows = [part.pixels[part.labels == label][:500] for label in range(10)]
        return np.stack([row.reshape(len(row), -1).mean(0) for row in rows])

    distance = ((means(one)[:, None] - means(other)[None]) ** 2).sum(-1)
    return [int(label) for label in distance.argmin(1)]


def test_the_published_fashion_mnist_is_read(real_data: Path) -> None:
    reader = builtin.FASHION_MNIST.reader
    train, test = reader.read(real_data, builtin.FASHION_MNIST.spec)
    assert train.pixels.shape == (60_000, 1, 28, 28)
    assert np.bincount(train.labels).tolist() == [6_000] * 10
    assert nearest_class_means(train, test) == list(range(10))
    assert np.bincount(test.labels).tolist() == [1_000] * 10
    mean, std = arrays.statistics(train.pixels)
    assert mean == pytest.approx(builtin.FASHION_MNIST.spec.mean, abs=2e-4)
    assert std == pytest.approx(builtin.FASHION_MNIST.spec.std, abs=2e-4)


def test_the_lossless_subset_keeps_cifars_classes(real_data: Path) -> None:
    dataset = builtin.CIFAR10_LOSSLESS_6K
    train, test = dataset.reader.read(real_data, dataset.spec)
    assert (len(train), len(test)) == (5_085, 1_017)
    reordered = replace(dataset.spec, classes=dataset.spec.classes[::-1])
    with pytest.raises(Exception, match="orders its classes otherwise"):
        dataset.reader.read(real_data, reordered)
