"""Broken and hostile files end in one sentence that names the file, and in nothing else."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_files import (
    encode,
    random_pixels,
    write_idx,
    write_mnist,
    write_parquet,
    write_pickle,
    write_tiny_imagenet,
    write_tree,
    zip_folder,
)
from PIL import Image

from bench import datasets
from bench.datasets import images, parsing
from bench.datasets.dataset import Part, Reading
from bench.datasets.readers import parquet
from bench.datasets.readers.cifar import Cifar
from bench.datasets.readers.imagenet import ImageNet64, TinyImageNet
from bench.datasets.readers.torchvision_sets import Mnist, Svhn
from bench.errors import BadFile, BenchError
from bench.specs import DatasetSpec

SPEC = DatasetSpec(
    name="toy",
    classes=("n1", "n2"),
    channels=3,
    size_px=8,
    mean=(0.5,) * 3,
    std=(0.5,) * 3,
)

GOOD = [encode(image) for image in random_pixels(4, 3, 8, 8)]


def png(size: tuple[int, int], mode: str = "L") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, "PNG")
    return stream.getvalue()


def png_that_promises(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header announces a large image."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header) - 4) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 9**9) + b"IDAT"


class Attack:
    """Unpickling it makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cannot be read"),
        (b"no image at all", "cannot be read"),
        (GOOD[0][:60], "cannot be read"),
        (png_that_promises(5_000, 5_000), "at most 16,777,216 are decoded"),
        (png_that_promises(60_000, 60_000), "DecompressionBomb"),
        (png((8, 8), "I;16"), "8 bits a channel"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "cannot be read"),
        (png((9, 8)), "9×8 pixels"),
    ],
    ids=["empty", "text", "truncated", "large", "bomb", "16-bit", "postscript", "size"],
)
def test_a_bad_image_is_named_with_file_and_row(root: Path, data: bytes, reason: str) -> None:
    path = write_parquet(root / "toy" / "train.parquet", [GOOD[0], data], [0, 1])
    write_parquet(root / "toy" / "test.parquet", GOOD[:2], [0, 1])
    with pytest.raises(BadFile, match=reason) as error:
        parquet.Parquet("toy").read(root, SPEC)
    assert f"{path}, row 1" in str(error.value)


def test_an_oversized_file_is_not_decoded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MAX_ENCODED_BYTES", 100)
    write_tree(root / "tree", {"n1": random_pixels(2, 3, 8, 8), "n2": random_pixels(2, 3, 8, 8)})
    with pytest.raises(BadFile, match="at most 100 are read"):
        datasets.describe(f"mine={root / 'tree'}")


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "cannot be read"),
        (lambda path: path.write_bytes(b"PAR1"), "cannot be read"),
        (lambda path: write_parquet(path, GOOD, [0, 1, 0, None]), "row 3 has no label"),
        (lambda path: write_parquet(path, [*GOOD[:3], None], [0, 1, 0, 1]), "row 3 has no image"),
        (
            lambda path: write_parquet(path, GOOD, [0, 1, 0, 1], columns=("picture", "label")),
            "expected one of image, img",
        ),
        (
            lambda path: pq.write_table(pa.table({"image": GOOD, "label": list("abcd")}), path),
            "expected integers",
        ),
        (
            lambda path: pq.write_table(pa.table({"image": ["a.png"], "label": [0]}), path),
            "expected encoded bytes",
        ),
        (
            lambda path: write_parquet(
                path, GOOD, [0, 1, 0, 1], metadata={"classes": ["n2", "n1"]}
            ),
            "orders its classes otherwise",
        ),
        (
            lambda path: write_parquet(path, GOOD, [0, 1, 0, 1], metadata={"huggingface": 7}),
            "cannot be read",
        ),
    ],
    ids=[
        "truncated",
        "empty",
        "no label",
        "no image",
        "columns",
        "text labels",
        "paths only",
        "class order",
        "metadata",
    ],
)
def test_a_bad_parquet_file_is_named(
    root: Path, break_it: Callable[[Path], object], reason: str
) -> None:
    path = write_parquet(root / "toy" / "train.parquet", GOOD, [0, 1, 0, 1])
    write_parquet(root / "toy" / "test.parquet", GOOD, [0, 1, 0, 1])
    break_it(path)
    with pytest.raises(BadFile, match=reason) as error:
        parquet.Parquet("toy").read(root, SPEC)
    assert str(path) in str(error.value)


def test_a_parquet_bomb_is_refused_by_its_footer(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "MAX_COLUMN_CHUNK_BYTES", 1000)
    write_parquet(root / "toy" / "train.parquet", [b"\0" * 10_000] * 4, [0, 1, 0, 1])
    write_parquet(root / "toy" / "test.parquet", GOOD, [0, 1, 0, 1])
    with pytest.raises(BadFile, match="smaller row groups"):
        parquet.Parquet("toy").read(root, SPEC)


def test_a_label_that_promises_a_billion_classes_is_refused(root: Path) -> None:
    path = write_parquet(root / "train.parquet", GOOD, [0, 1, 0, 10**12])
    with pytest.raises(BadFile, match="has 4 images"):
        datasets.describe(f"mine={path}")


def test_a_parquet_file_without_rows_is_refused(root: Path) -> None:
    with pytest.raises(BadFile, match="has 0 images"):
        datasets.describe(f"mine={write_parquet(root / 'train.parquet', [], [])}")


@pytest.mark.parametrize(
    ("labels", "reason"),
    [([0, 1, 2, 0], "label 2 is outside"), ([0, -1, 1, 0], "label -1"), ([0] * 4, "'n2' has no")],
)
def test_labels_are_checked(labels: list[int], reason: str, root: Path) -> None:
    part = Part(random_pixels(4, 3, 8, 8), np.array(labels))
    good = Part(random_pixels(4, 3, 8, 8), np.array([0, 1, 0, 1]))
    with pytest.raises(BadFile, match=reason):
        Reading(SPEC, part, good).check(root)
    with pytest.raises(BadFile, match=f"test part.*{reason}"):
        Reading(SPEC, good, part).check(root)


def test_shapes_are_checked(root: Path) -> None:
    good = Part(random_pixels(4, 3, 8, 8), np.array([0, 1, 0, 1]))
    bad = Part(random_pixels(4, 3, 8, 7), np.array([0, 1, 0, 1]))
    with pytest.raises(BadFile, match=r"expected uint8 \(4, 3, 8, 8\)"):
        Reading(SPEC, good, bad).check(root)


def test_truncated_mnist_is_named(root: Path) -> None:
    pixels, labels = random_pixels(4, 28, 28), np.array([0, 1, 0, 1], np.uint8)
    folder = root / "MNIST" / "raw"
    write_mnist(folder, (pixels, labels), (pixels, labels))
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadFile, match="train-images"):
        Mnist("MNIST").read(root, SPEC)
    write_idx(path, labels)
    with pytest.raises(BadFile, match="train-images"):
        Mnist("MNIST").read(root, SPEC)


def test_svhn_of_another_md5_is_not_parsed(root: Path) -> None:
    for part in ("train", "test"):
        (root / f"{part}_32x32.mat").write_bytes(b"no matlab file")
    with pytest.raises(BadFile, match="cannot be read"):
        Svhn().read(root, SPEC)


def test_cifar_of_another_md5_is_not_unpickled(root: Path) -> None:
    write_pickle(root / "c" / "batch", Attack(root / "hacked"))
    reader = Cifar(layout="c", train=(("batch", "0" * 32),), test=(), labels="labels")
    with pytest.raises(BadFile, match="MD5"):
        reader.read(root, SPEC)
    assert not (root / "hacked").exists()


def test_cifar_calls_nothing_that_a_pickle_names(root: Path) -> None:
    md5 = write_pickle(root / "c" / "batch", {"data": Attack(root / "hacked")})
    reader = Cifar(layout="c", train=(("batch", md5),), test=(), labels="labels")
    with pytest.raises(BadFile, match="which is no array"):
        reader.read(root, SPEC)
    assert not (root / "hacked").exists()


def imagenet(root: Path, **train: object) -> ImageNet64:
    folder = root / "imagenet-1k-64"
    folder.mkdir()
    content = {"data": random_pixels(2, 192), "labels": np.array([1, 2])}
    np.savez(folder / "val_data.npz", **content)
    np.savez(folder / "train_data_batch_1.npz", **{**content, **train})
    return ImageNet64(batch_order=("n2", "n1"), train_batches=1)


@pytest.mark.parametrize(
    ("train", "reason"),
    [
        ({"labels": np.array([0, 1])}, "no list of numbers in 1 … 2"),
        ({"labels": np.array([1, 3])}, "no list of numbers in 1 … 2"),
        ({"labels": np.array([[1], [2]])}, "no list of numbers in 1 … 2"),
        ({"labels": np.array(["one", "two"])}, "no list of numbers in 1 … 2"),
        ({"labels": np.array([1, 2, 1])}, "expected uint8"),
        ({"data": random_pixels(2, 191)}, "expected uint8"),
        ({"data": random_pixels(2, 192).astype(np.float32)}, "expected uint8"),
    ],
)
def test_bad_imagenet_batches_are_named(
    root: Path, train: dict[str, np.ndarray], reason: str
) -> None:
    with pytest.raises(BadFile, match=reason):
        imagenet(root, **train).read(root, SPEC)


def test_a_pickled_npz_is_refused(root: Path) -> None:
    data = np.array([Attack(root / "hacked")], dtype=object)
    with pytest.raises(BadFile, match="cannot be read"):
        imagenet(root, data=data).read(root, SPEC)
    assert not (root / "hacked").exists()


def tiny_imagenet(root: Path) -> Path:
    folder = root / "tiny-imagenet-200"
    train = {"n1": random_pixels(2, 3, 8, 8), "n2": random_pixels(2, 3, 8, 8)}
    write_tiny_imagenet(folder, train, ["n1", "n2"])
    return folder


def test_an_archive_is_never_extracted(root: Path) -> None:
    folder = tiny_imagenet(root)
    archive = root / "tiny-imagenet-200.zip"
    zip_folder(folder, archive)
    folder.rename(root / "elsewhere")
    with zipfile.ZipFile(archive, "a") as stream:
        stream.writestr("../hacked.png", GOOD[0])
        stream.writestr("/hacked.png", GOOD[0])
    before = sorted(root.parent.rglob("*"))
    train, _ = TinyImageNet().read(root, SPEC)
    assert len(train) == 4
    assert sorted(root.parent.rglob("*")) == before


@pytest.mark.parametrize(
    "line", ["val_0.JPEG\tn3\t0\t0\t0\t0", "../../secret.JPEG\tn1", "val_0.JPEG", ""]
)
def test_bad_annotations_are_named_with_their_line(root: Path, line: str) -> None:
    folder = tiny_imagenet(root)
    with (folder / "val" / "val_annotations.txt").open("a") as stream:
        stream.write(f"{line}\n")
    with pytest.raises(BadFile, match="line 3 is no annotation"):
        TinyImageNet().read(root, SPEC)


def test_a_class_folder_that_should_not_be_is_named(root: Path) -> None:
    folder = tiny_imagenet(root)
    write_tree(folder / "train", {"n9": random_pixels(1, 3, 8, 8)})
    with pytest.raises(BadFile, match="class 'n9'"):
        TinyImageNet().read(root, SPEC)


@pytest.mark.parametrize("name", ["broken.zip", "broken.parquet", "broken.txt"])
def test_a_file_of_no_known_kind_is_named(root: Path, name: str) -> None:
    (root / name).write_bytes(b"not what its name says")
    with pytest.raises(BadFile, match="broken"):
        datasets.describe(f"mine={root / name}")


def test_every_refusal_is_the_users_to_put_right() -> None:
    with (
        pytest.raises(BenchError, match=r"x cannot be read \(ValueError: why\)"),
        parsing.parsing("x"),
    ):
        raise ValueError("why.\nand more")
    assert "EPS" not in images.FORMATS
