"""Small datasets in every layout, written as strangers' tools write them."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def random_pixels(*shape: int, seed: int = 0) -> Pixels:
    """Random uint8 values."""
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def encode(pixels: Pixels, kind: str = "PNG") -> bytes:
    """``(C, H, W)`` pixels as an image file."""
    stream = io.BytesIO()
    plane = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    Image.fromarray(plane).save(stream, kind)
    return stream.getvalue()


def write_image(path: Path, pixels: Pixels) -> None:
    """An image file in a folder that is made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(pixels))


def write_idx(path: Path, array: Pixels) -> None:
    """MNIST's format: magic number, big-endian sizes, bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())


def write_mnist(folder: Path, train: tuple[Pixels, Pixels], test: tuple[Pixels, Pixels]) -> None:
    """Four idx files."""
    for stem, (images, labels) in {"train": train, "t10k": test}.items():
        write_idx(folder / f"{stem}-images-idx3-ubyte", images)
        write_idx(folder / f"{stem}-labels-idx1-ubyte", labels)


class _Python2Pickler(pickle._Pickler):
    """Stores bytes as Python 2 stored its strings, and names NumPy 1's modules."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)

    dispatch[bytes] = save_bytes


def write_pickle(path: Path, value: Any) -> str:
    """A pickle as CIFAR's authors made theirs; returns its MD5."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    _Python2Pickler(stream, protocol=2).dump(value)
    data = stream.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    path.write_bytes(data)
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def write_parquet(
    path: Path,
    images: Sequence[bytes | None],
    labels: Sequence[int | None],
    *,
    metadata: Mapping[str, Any] | None = None,
    columns: tuple[str, str] = ("image", "label"),
) -> Path:
    """The Hugging Face layout."""
    path.parent.mkdir(parents=True, exist_ok=True)
    structs = [{"bytes": data, "path": f"{row}.png"} for row, data in enumerate(images)]
    table = pa.table(
        {
            columns[1]: pa.array(labels, pa.int64()),
            columns[0]: pa.array(
                structs, pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            ),
        }
    )
    encoded = {key: json.dumps(value) for key, value in (metadata or {}).items()}
    pq.write_table(table.replace_schema_metadata(encoded), path)
    return path


def write_tree(folder: Path, classes: Mapping[str, Pixels]) -> None:
    """A class folder for each entry, one image a row."""
    for name, images in classes.items():
        for row, pixels in enumerate(images):
            write_image(folder / name / f"{row:03}.png", pixels)


def write_tiny_imagenet(folder: Path, train: Mapping[str, Pixels], test: list[str]) -> Pixels:
    """Tiny ImageNet's tree with test images of the given classes, whose pixels are returned."""
    for wnid, images in train.items():
        for row, pixels in enumerate(images):
            path = folder / "train" / wnid / "images" / f"{wnid}_{row}.JPEG"
            write_image(path, pixels)
    size = next(iter(train.values())).shape[-1]
    pixels = random_pixels(len(test), 3, size, size, seed=1)
    lines = []
    for row, wnid in enumerate(test):
        write_image(folder / "val" / "images" / f"val_{row}.JPEG", pixels[row])
        lines.append(f"val_{row}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    return pixels


def zip_folder(folder: Path, archive: Path) -> None:
    """The folder with its name as a zip archive."""
    with zipfile.ZipFile(archive, "w") as stream:
        for path in sorted(folder.rglob("*")):
            stream.write(path, path.relative_to(folder.parent).as_posix())
