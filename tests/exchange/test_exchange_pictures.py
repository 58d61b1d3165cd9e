"""Folders and parquet files of pictures are read by a stated rule; nothing is resized."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor

from bench.errors import BadFile
from bench.exchange import Imported, read
from bench.preprocessing import Preprocessing
from bench.specs import DatasetSpec
from tests.exchange.pictures import class_folders, png

ImportSet = Callable[..., Imported]


@pytest.mark.parametrize(
    ("names", "order", "rule"),
    [
        (["zebra", "ant", "mole"], [0, 1, 2], "matched to the classes by name"),
        (["new000", "new001", "new002"], [0, 1, 2], "number in each folder's name"),
        (["2", "0", "1"], [2, 0, 1], "number in each folder's name"),
        (["n02", "n01", "n11"], [1, 0, 2], "alphabetical order.*'n01' is 'zebra'"),
        (["cow", "bee", "dog"], [1, 0, 2], "alphabetical order"),
    ],
)
def test_class_folders_get_their_labels_by_a_stated_rule(
    names: list[str],
    order: list[int],
    rule: str,
    pixels: Tensor,
    normalise: Preprocessing,
    import_set: ImportSet,
    tmp_path: Path,
) -> None:
    imported = import_set(class_folders(tmp_path / "set", names, pixels))
    label_of_row = torch.tensor(order).repeat_interleave(2)
    positions = torch.argsort(label_of_row, stable=True)
    assert torch.equal(imported.synthetic.labels, torch.tensor([0, 0, 1, 1, 2, 2]))
    assert torch.equal(imported.synthetic.images, normalise.forward(pixels[positions]))
    assert re.search(rule, " ".join(imported.notes))


def test_folders_whose_order_is_unclear_are_refused(
    pixels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    root = class_folders(tmp_path / "set", ["1", "2", "10"], pixels)
    with pytest.raises(BadFile, match=r"order is unclear.*Name them 0 to 2"):
        import_set(root)


def test_jpegs_are_decoded(
    pixels: Tensor, normalise: Preprocessing, import_set: ImportSet, tmp_path: Path
) -> None:
    for row, picture in enumerate(pixels):
        folder = tmp_path / f"new{row // 2:03d}"
        folder.mkdir(exist_ok=True)
        array = picture.permute(1, 2, 0).numpy()
        Image.fromarray(array).save(folder / f"class{row // 2:03d}_id{row:03d}.jpg", quality=95)
    images = import_set(tmp_path).synthetic.images
    assert (images - normalise.forward(pixels)).abs().mean() < 0.1


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Image.new("RGB", (17, 16)), "17×16 pixels; toy has 16×16. Nothing is resized"),
        (Image.new("RGBA", (16, 16)), "has mode RGBA; give 8-bit grey or RGB"),
        (Image.new("I;16", (16, 16)), "has mode I;16"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(
    picture: Image.Image, message: str, pixels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    root = class_folders(tmp_path / "set", ["0", "1", "2"], pixels)
    picture.save(root / "1" / "0.png")
    with pytest.raises(BadFile, match=message):
        import_set(root)


def test_grey_datasets_take_grey_pictures_and_refuse_coloured_ones(tmp_path: Path) -> None:
    grey = DatasetSpec(
        name="grey", classes=("a", "b"), channels=1, size_px=16, mean=(0.5,), std=(0.25,)
    )
    picture = torch.arange(256).byte().view(1, 16, 16).expand(3, 16, 16)
    for name in grey.classes:
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "0.png").write_bytes(png(picture))
    preprocessing = Preprocessing.normalize(grey)
    images = read(tmp_path / "set", grey, preprocessing=preprocessing).synthetic.images
    assert torch.equal(images, preprocessing.forward(picture[None, :1].repeat(2, 1, 1, 1)))
    coloured = picture.clone()
    coloured[0] = 0
    (tmp_path / "set" / "a" / "0.png").write_bytes(png(coloured))
    with pytest.raises(BadFile, match="is in colour; grey is grey"):
        read(tmp_path / "set", grey, preprocessing=preprocessing)


@pytest.mark.parametrize(("image_column", "label_column"), [("image", "label"), ("img", "labels")])
def test_hugging_face_parquet_is_read(
    image_column: str,
    label_column: str,
    pixels: Tensor,
    labels: Tensor,
    normalise: Preprocessing,
    import_set: ImportSet,
    tmp_path: Path,
) -> None:
    cells = [{"bytes": png(picture), "path": None} for picture in pixels]
    table = pa.table({image_column: cells, label_column: labels.numpy()})
    pq.write_table(table, tmp_path / "set.parquet")
    imported = import_set(tmp_path / "set.parquet").synthetic
    assert torch.equal(imported.images, normalise.forward(pixels))
    assert torch.equal(imported.labels, labels)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [b"x"]}, "has the columns image; expected an image column"),
        ({"image": [b"x"], "label": ["cat"]}, "'label' that holds no class indices"),
        ({"image": [b"x"], "label": [0]}, "row 0 is no readable PNG or JPEG"),
        ({"image": [{"bytes": None, "path": "/etc/passwd"}], "label": [0]}, "not in the file"),
        ({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}, "no rows"),
    ],
)
def test_parquet_that_does_not_fit_is_refused(
    columns: dict[str, Any], message: str, import_set: ImportSet, tmp_path: Path
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "set.parquet")
    with pytest.raises(BadFile, match=message):
        import_set(tmp_path / "set.parquet")
