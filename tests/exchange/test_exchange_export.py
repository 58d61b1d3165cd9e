"""What is exported comes back bit for bit, other tools can read it, and nothing is overwritten."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from bench.data import SyntheticSet
from bench.errors import BadFile, ContractError, InvalidValue, StoreError
from bench.exchange import TARGETS, Imported, write
from bench.exchange.exporters import class_folder_names
from bench.preprocessing import Preprocessing
from bench.specs import DatasetSpec

ImportSet = Callable[..., Imported]
NAMES = {"parquet": "set.parquet", "folder": "set", "pt": "set.pt"}


def logits_of(synthetic: SyntheticSet) -> SyntheticSet:
    noise = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    return replace(synthetic, labels=noise + 5 * torch.eye(3)[synthetic.labels])


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("learning_rate", [None, 0.1])
def test_the_way_out_and_back_loses_nothing(
    to: str,
    soft: bool,
    learning_rate: float | None,
    synthetic: SyntheticSet,
    import_set: ImportSet,
    tmp_path: Path,
) -> None:
    made = replace(logits_of(synthetic) if soft else synthetic, learning_rate=learning_rate)
    path = write(made, tmp_path / NAMES[to], to)
    imported = import_set(path)
    back = imported.synthetic
    assert torch.equal(back.images, made.images)
    assert torch.equal(back.labels, made.labels)
    assert back.labels.dtype == made.labels.dtype
    assert back.learning_rate == learning_rate
    assert back.header == made.header
    assert "Recognised as a synthetic set of this suite." in imported.notes


@pytest.mark.parametrize("to", TARGETS)
def test_extreme_values_survive(
    to: str, synthetic: SyntheticSet, import_set: ImportSet, tmp_path: Path
) -> None:
    images = synthetic.images.clone()
    images[0, 0, 0, :4] = torch.tensor([-0.0, 1e-45, -50.0, 50.0])
    back = import_set(write(replace(synthetic, images=images), tmp_path / NAMES[to], to)).synthetic
    assert torch.equal(back.images.view(torch.int32), images.view(torch.int32))


def test_parquet_holds_what_hugging_face_expects(
    synthetic: SyntheticSet, pixels: Tensor, tmp_path: Path
) -> None:
    table = pq.read_table(write(logits_of(synthetic), tmp_path / "set.parquet", "parquet"))
    assert table.schema.names == ["image", "label", "pixels", "logits"]
    assert table["label"].to_pylist() == [0, 0, 1, 1, 2, 2]
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"]["names"] == ["zebra", "ant", "mole"]
    preview = np.array(Image.open(io.BytesIO(table["image"][0]["bytes"].as_py())))
    unit = np.moveaxis(pixels[0].numpy(), 0, 2) / 255
    assert np.abs(preview / 255 - unit).mean() < 0.03  # the set is the photograph plus noise


def test_a_folder_sorts_by_label_and_shows_the_images(
    synthetic: SyntheticSet, spec: DatasetSpec, normalise: Preprocessing, tmp_path: Path
) -> None:
    clean = replace(synthetic, images=normalise.forward(torch.full((6, 3, 16, 16), 51).byte()))
    folder = write(clean, tmp_path / "set", "folder")
    assert sorted(p.name for p in folder.iterdir()) == [
        "0-zebra",
        "1-ant",
        "2-mole",
        "synthetic.safetensors",
    ]
    assert [p.name for p in sorted((folder / "1-ant").iterdir())] == ["00002.png", "00003.png"]
    assert np.unique(np.array(Image.open(folder / "1-ant" / "00002.png"))).tolist() == [51]


def test_the_pictures_alone_come_back_with_the_right_labels(
    synthetic: SyntheticSet, import_set: ImportSet, labels: Tensor, tmp_path: Path
) -> None:
    folder = write(synthetic, tmp_path / "set", "folder")
    (folder / "synthetic.safetensors").unlink()
    back = import_set(folder).synthetic
    assert torch.equal(back.labels, labels)
    assert (back.images - synthetic.images).abs().mean() < 0.05


def test_a_torch_file_needs_no_unpickling(synthetic: SyntheticSet, tmp_path: Path) -> None:
    content = torch.load(write(synthetic, tmp_path / "set.pt", "pt"), weights_only=True)
    assert torch.equal(content["images"], synthetic.images)
    assert json.loads(content["header"])["dataset"] == "toy"


def test_a_view_is_stored_without_what_it_looks_into(
    synthetic: SyntheticSet, tmp_path: Path
) -> None:
    large = torch.zeros(1000, 3, 16, 16)
    large[:6] = synthetic.images
    write(replace(synthetic, images=large[:6]), tmp_path / "set.pt", "pt")
    assert (tmp_path / "set.pt").stat().st_size < 2 * synthetic.stored_bytes


# ---- whitened sets


def test_previews_of_a_whitened_set_need_its_matrix(
    synthetic: SyntheticSet,
    pixels: Tensor,
    whiten: Preprocessing,
    import_set: ImportSet,
    tmp_path: Path,
) -> None:
    assert synthetic.header is not None
    header = replace(synthetic.header, preprocessing=whiten.header())
    made = replace(synthetic, images=whiten.forward(pixels), header=header)
    with pytest.raises(InvalidValue, match="need its matrix"):
        write(made, tmp_path / "set", "folder")
    folder = write(made, tmp_path / "set", "folder", preprocessing=whiten)
    preview = np.array(Image.open(folder / "0-zebra" / "00000.png")).astype(int)
    assert np.abs(preview - np.moveaxis(pixels[0].numpy(), 0, 2)).max() <= 1
    back = import_set(write(made, tmp_path / "set.pt", "pt"), preprocessing=whiten).synthetic
    assert torch.equal(back.images, made.images)


def test_previews_through_another_preprocessing_are_refused(
    synthetic: SyntheticSet, whiten: Preprocessing, tmp_path: Path
) -> None:
    with pytest.raises(InvalidValue, match="previews need the set's own"):
        write(synthetic, tmp_path / "set", "folder", preprocessing=whiten)


# ---- refusals


@pytest.mark.parametrize("to", TARGETS)
def test_nothing_is_overwritten_unless_asked(
    to: str, synthetic: SyntheticSet, import_set: ImportSet, tmp_path: Path
) -> None:
    path = write(synthetic, tmp_path / NAMES[to], to)
    other = replace(synthetic, learning_rate=0.5)
    with pytest.raises(InvalidValue, match="exists; give another path or add --overwrite"):
        write(other, path, to)
    assert import_set(path).synthetic.learning_rate == 0.1
    write(other, path, to, overwrite=True)
    assert import_set(path).synthetic.learning_rate == 0.5
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("to", "given", "made"),
    [
        ("pt", "ex_pt", "ex_pt.pt"),
        ("pt", "v1.2", "v1.2.pt"),
        ("pt", "set.PTH", "set.PTH"),
        ("parquet", "set.pt", "set.pt.parquet"),
        ("folder", "v1.2", "v1.2"),
    ],
)
def test_a_file_gets_the_ending_by_which_it_is_read_again(
    to: str, given: str, made: str, synthetic: SyntheticSet, import_set: ImportSet, tmp_path: Path
) -> None:
    path = write(synthetic, tmp_path / given, to)
    assert path == tmp_path / made
    assert torch.equal(import_set(path).synthetic.images, synthetic.images)


def test_a_folder_that_is_no_export_is_never_replaced(
    synthetic: SyntheticSet, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "only copy.tex").write_text("…")
    for to in TARGETS:
        with pytest.raises(InvalidValue, match="is no earlier export"):
            write(synthetic, tmp_path / "thesis", to, overwrite=True)
    assert (tmp_path / "thesis" / "only copy.tex").exists()


@pytest.mark.parametrize("to", TARGETS)
def test_a_place_that_cannot_be_written_is_named(
    to: str, synthetic: SyntheticSet, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Cannot write"):
        write(synthetic, tmp_path / "file" / "set", to)


def test_an_unknown_format_is_refused(synthetic: SyntheticSet, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="'csv' is no export format; give one of parquet"):
        write(synthetic, tmp_path / "set.csv", "csv")


def test_a_set_without_header_or_against_it_is_refused(
    synthetic: SyntheticSet, tmp_path: Path
) -> None:
    with pytest.raises(InvalidValue, match="has no header"):
        write(replace(synthetic, header=None), tmp_path / "set.pt", "pt")
    with pytest.raises(ContractError, match="labels must lie in"):
        write(replace(synthetic, labels=torch.full((6,), 7)), tmp_path / "set.pt", "pt")


@pytest.mark.parametrize("to", ["parquet", "pt"])
def test_a_changed_export_is_noticed(
    to: str, synthetic: SyntheticSet, import_set: ImportSet, tmp_path: Path
) -> None:
    path = write(synthetic, tmp_path / NAMES[to], to)
    exact = synthetic.images[3].numpy().tobytes()[:64]
    content = path.read_bytes()
    assert exact in content
    path.write_bytes(content.replace(exact, exact[:-1] + bytes([exact[-1] ^ 1])))
    with pytest.raises(BadFile):
        import_set(path)


# ---- hostile class names


@given(st.lists(st.text(max_size=80), min_size=1, max_size=30))
def test_folder_names_are_distinct_sorted_and_lead_nowhere(classes: list[str]) -> None:
    names = class_folder_names(classes)
    assert sorted(names) == names
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert Path(name).name == name
        assert len(name.encode()) <= 255
        assert name not in (".", "..")


def test_hostile_class_names_stay_inside_and_come_back(
    synthetic: SyntheticSet, spec: DatasetSpec, import_set: ImportSet, tmp_path: Path
) -> None:
    classes = ("../../escape", "/etc/passwd", "nul\0\n")
    assert synthetic.header is not None
    made = replace(synthetic, header=replace(synthetic.header, classes=classes))
    folder = write(made, tmp_path / "out" / "set", "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["set"]
    assert len(list(folder.rglob("*.png"))) == 6
    back = import_set(folder, spec=replace(spec, classes=classes)).synthetic
    assert back.header == made.header
