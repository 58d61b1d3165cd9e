"""Hostile and damaged files: one clear sentence, nothing executed, nothing large allocated."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from bench import artifacts
from bench.data import SyntheticSet
from bench.errors import BadFile, BenchError
from bench.exchange import Imported, bounds, write
from bench.specs import DatasetSpec

ImportSet = Callable[..., Imported]
SUFFIXES = (".safetensors", ".npz", ".npy", ".parquet", ".pt", ".pth")


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


# ---- code


@pytest.mark.parametrize("place", ["whole", "beside", "labels", "raw", "legacy", "data"])
def test_no_pickle_is_ever_executed(
    place: str, images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    mark, path = tmp_path / "executed", tmp_path / "set.pt"
    bomb = Bomb(mark)
    contents = {
        "whole": bomb,
        "beside": {"images": images, "labels": labels, "log": bomb},
        "labels": (images, bomb),
        "raw": None,
        "legacy": [images, bomb],
        "data": {"data": [[images, labels]], "accs_all_exps": bomb},
    }
    if place == "raw":
        path.write_bytes(pickle.dumps(bomb))
    else:
        torch.save(contents[place], path, _use_new_zipfile_serialization=place != "legacy")
    with pytest.raises(BadFile, match=r"nothing is ever unpickled here.*torch\.save"):
        import_set(path)
    assert not mark.exists()


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_no_python_object_comes_out_of_numpy_files(
    suffix: str, import_set: ImportSet, tmp_path: Path
) -> None:
    mark, path = tmp_path / "executed", tmp_path / f"set{suffix}"
    array = np.array([Bomb(mark)], dtype=object)
    if suffix == ".npz":
        np.savez(path, images=array)
    else:
        np.save(path, array)
    with pytest.raises(BadFile, match="array of object; give numbers"):
        import_set(path)
    assert not mark.exists()


def test_numpy_scalars_in_torch_files_are_stood_in_for_not_built(
    images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    torch.save({"images": images, "labels": np.float64(1.0)}, tmp_path / "set.pt")
    with pytest.raises(BadFile, match="labels is no tensor"):
        import_set(tmp_path / "set.pt")


# ---- size


def test_a_file_larger_than_any_set_is_refused_unread(
    spec: DatasetSpec, import_set: ImportSet, tmp_path: Path
) -> None:
    for suffix in SUFFIXES:
        path = tmp_path / f"set{suffix}"
        with path.open("wb") as stream:
            stream.truncate(bounds.max_bytes(spec) + 1)
        with pytest.raises(BadFile, match=r"claims .* bytes; a synthetic set of toy needs at most"):
            import_set(path)


def test_no_dataset_allows_more_than_the_stated_maximum(spec: DatasetSpec) -> None:
    large = replace(spec, classes=tuple(map(str, range(1000))), size_px=64)
    assert bounds.max_bytes(large) == bounds.MAX_BYTES
    assert bounds.max_bytes(spec) < bounds.MAX_BYTES


def test_a_zip_bomb_is_refused_before_it_unpacks(
    spec: DatasetSpec, import_set: ImportSet, tmp_path: Path
) -> None:
    claimed = bounds.max_bytes(spec) // 2
    with zipfile.ZipFile(tmp_path / "set.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a", "b", "c"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                for _ in range(0, claimed, 2**24):
                    stream.write(bytes(2**24))
    assert (tmp_path / "set.npz").stat().st_size < claimed / 100
    with pytest.raises(BadFile, match="claims"):
        import_set(tmp_path / "set.npz")


def repacked(path: Path, edit: Callable[[str, bytes], bytes], compression: int = 0) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, edit(name, content))


def test_a_compressed_torch_file_is_refused(
    images: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    torch.save(torch.zeros(6, 3, 16, 16), tmp_path / "set.pt")
    repacked(tmp_path / "set.pt", lambda _, content: content, zipfile.ZIP_DEFLATED)
    with pytest.raises(BadFile, match=r"compressed entries, which torch\.save never writes"):
        import_set(tmp_path / "set.pt")


def test_overlapping_entries_are_refused(import_set: ImportSet, tmp_path: Path) -> None:
    path = tmp_path / "set.pt"
    torch.save(torch.zeros(6, 3, 16, 16), path)
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    for _ in range(3):  # sizes of the first entries in the central directory
        struct.pack_into("<II", content, entry + 20, 40_000, 40_000)
        entry = content.index(b"PK\x01\x02", entry + 1)
    path.write_bytes(content)
    with pytest.raises(BadFile, match="its entries overlap"):
        import_set(path)


def test_a_tensor_that_claims_more_than_is_stored_is_refused(
    import_set: ImportSet, tmp_path: Path
) -> None:
    path = tmp_path / "set.pt"
    torch.save(torch.zeros(6, 3, 16, 16), path)
    six, many = b"(K\x06K\x03K\x10K\x10t", b"(J\x00\x00\x00\x10K\x03K\x10K\x10t"
    repacked(path, lambda _, content: content.replace(six, many))
    with pytest.raises(BadFile, match="damaged or holds more than tensors"):
        import_set(path)


@pytest.mark.parametrize("ours", [False, True])
def test_a_tensor_that_repeats_one_value_is_refused_unexpanded(
    ours: bool, synthetic: SyntheticSet, import_set: ImportSet, tmp_path: Path
) -> None:
    endless = torch.zeros(1).expand(10**9, 3, 16, 16)
    content: dict[str, Any] = {"images": endless, "labels": torch.zeros(1).long().expand(10**9)}
    if ours:
        write(synthetic, tmp_path / "set.pt", "pt")
        content = torch.load(tmp_path / "set.pt", weights_only=True) | content
    torch.save(content, tmp_path / "set.pt")
    with pytest.raises(BadFile, match=r"claims|holds images of shape"):
        import_set(tmp_path / "set.pt")


def test_a_numpy_header_that_claims_more_than_is_stored_is_refused(
    import_set: ImportSet, tmp_path: Path
) -> None:
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**12, 3, 16, 16)}
    np.lib.format.write_array_header_1_0(stream, header)
    (tmp_path / "set.npy").write_bytes(stream.getvalue())
    with pytest.raises(BadFile, match="claims"):
        import_set(tmp_path / "set.npy")


def test_parquet_with_too_many_rows_is_refused_unread(
    spec: DatasetSpec, import_set: ImportSet, tmp_path: Path
) -> None:
    rows = bounds.max_images(spec) + 1
    table = pa.table({"image": pa.repeat(b"x", rows), "label": pa.repeat(0, rows)})
    pq.write_table(table, tmp_path / "set.parquet")
    with pytest.raises(BadFile, match="rows; a synthetic set of toy has at most 30,000"):
        import_set(tmp_path / "set.parquet")


def test_parquet_that_repeats_one_large_value_is_refused_before_memory_fills(
    import_set: ImportSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAX_BYTES", 4 * 2**20)
    picture = io.BytesIO()
    Image.new("RGB", (16, 16)).save(picture, format="PNG")
    large = picture.getvalue() + bytes(2**20)
    dictionary = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), 999), [large])
    pq.write_table(
        pa.table({"image": dictionary, "label": pa.repeat(0, 999)}), tmp_path / "set.parquet"
    )
    assert (tmp_path / "set.parquet").stat().st_size < 2 * 2**20
    with pytest.raises(BadFile, match="claims"):
        import_set(tmp_path / "set.parquet")


def test_a_picture_of_many_pixels_is_refused_undecoded(
    import_set: ImportSet, tmp_path: Path
) -> None:
    for label in range(3):
        (tmp_path / str(label)).mkdir()
    Image.new("1", (10_000, 10_000)).save(tmp_path / "0" / "0.png")
    with pytest.raises(BadFile, match="10000×10000 pixels; toy has 16×16"):
        import_set(tmp_path)


def test_too_many_pictures_are_refused(
    import_set: ImportSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAX_PER_CLASS", 1)
    for label in range(3):
        (tmp_path / str(label)).mkdir()
        for row in range(2):
            Image.new("RGB", (16, 16)).save(tmp_path / str(label) / f"{row}.png")
    with pytest.raises(BadFile, match="more than 3 pictures"):
        import_set(tmp_path)


# ---- places


def test_links_out_of_a_folder_are_refused(
    images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    secret, folder = tmp_path / "secret.pt", tmp_path / "set"
    torch.save(labels, secret)
    folder.mkdir()
    torch.save(images, folder / "images_best.pt")
    (folder / "labels_best.pt").symlink_to(secret)
    with pytest.raises(BadFile, match=r"labels_best.pt points outside"):
        import_set(folder)
    with pytest.raises(BadFile, match=r"labels_best.pt points outside"):
        import_set(folder / "images_best.pt")


@pytest.mark.parametrize("link", ["class", "picture", "exact", "variant", "images"])
def test_every_kind_of_link_out_is_refused(
    link: str, images: Tensor, synthetic: SyntheticSet, import_set: ImportSet, tmp_path: Path
) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "set"
    outside.mkdir()
    for name in ("0", "1", "2"):
        (folder / name).mkdir(parents=True)
    Image.new("RGB", (16, 16)).save(outside / "0.png")
    artifacts.save(synthetic, outside / "synthetic.safetensors")
    torch.save(images, outside / "images_best.pt")
    targets = {
        "class": (folder / "2", outside),
        "picture": (folder / "0" / "0.png", outside / "0.png"),
        "exact": (folder / "synthetic.safetensors", outside / "synthetic.safetensors"),
        "variant": (folder / "Normal", outside),
        "images": (folder / "images_best.pt", outside / "images_best.pt"),
    }
    source, target = targets[link]
    if source.exists():
        source.rmdir()
    source.symlink_to(target)
    with pytest.raises(BadFile, match="points outside"):
        import_set(folder)


def test_a_link_in_circles_is_refused(import_set: ImportSet, tmp_path: Path) -> None:
    (tmp_path / "labels_best.pt").symlink_to(tmp_path / "labels_best.pt")
    (tmp_path / "images_best.pt").symlink_to(tmp_path / "images_best.pt")
    with pytest.raises(BadFile):
        import_set(tmp_path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pipes_devices_and_folders_are_no_files(
    suffix: str, import_set: ImportSet, tmp_path: Path
) -> None:
    pipe, folder, link = (tmp_path / f"{name}{suffix}" for name in ("pipe", "folder", "zero"))
    os.mkfifo(pipe)
    folder.mkdir()
    link.symlink_to("/dev/zero")
    for path in (pipe, folder, link, tmp_path / f"nul\0{suffix}"):
        with pytest.raises(BadFile):
            import_set(path)


def test_an_empty_file_is_refused(import_set: ImportSet, tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        (tmp_path / f"set{suffix}").touch()
        with pytest.raises(BadFile, match="is empty"):
            import_set(tmp_path / f"set{suffix}")


# ---- damage


def valid_files(
    folder: Path, images: Tensor, labels: Tensor, synthetic: SyntheticSet
) -> dict[str, Path]:
    """One valid file of every format."""
    small = {"images": images, "labels": labels}
    torch.save(small, folder / "zip.pt")
    torch.save(small, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"data": [[images, labels]], "accs": [np.float64(1)]}, folder / "res.pt")
    np.savez_compressed(folder / "set.npz", images=images.numpy(), labels=labels.numpy())
    np.save(folder / "set.npy", images.numpy())
    save_file(small, folder / "plain.safetensors")
    artifacts.save(synthetic, folder / "own.safetensors")
    write(synthetic, folder / "own.parquet", "parquet")
    write(synthetic, folder / "own.pt", "pt")
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    "name",
    [
        "zip.pt",
        "legacy.pt",
        "res.pt",
        "set.npz",
        "set.npy",
        "plain.safetensors",
        "own.safetensors",
        "own.parquet",
        "own.pt",
    ],
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_but_never_breaks_the_reader(
    name: str,
    data: st.DataObject,
    images: Tensor,
    labels: Tensor,
    synthetic: SyntheticSet,
    import_set: ImportSet,
    tmp_path: Path,
) -> None:
    valid = tmp_path / "valid"
    if not valid.exists():
        valid.mkdir()
        valid_files(valid, images, labels, synthetic)
    content = bytearray((valid / name).read_bytes())
    # structure stands at both ends of every format, pixels in between
    ends = st.integers(0, min(1500, len(content) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(ends)
        position = position if data.draw(st.booleans()) else len(content) - 1 - position
        content[position] = data.draw(st.integers(0, 255))
    damaged = tmp_path / name
    damaged.write_bytes(content[: len(content) - data.draw(st.sampled_from([0, 0, 0, 1, 100]))])
    message = ""
    try:
        import_set(damaged)
    except BenchError as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".png"])
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(min_size=1, max_size=300), magic=st.booleans())
def test_random_bytes_are_refused(
    suffix: str, content: bytes, magic: bool, import_set: ImportSet, tmp_path: Path
) -> None:
    beginnings = {
        ".npz": b"PK\x03\x04",
        ".npy": b"\x93NUMPY\x01\x00",
        ".parquet": b"PAR1",
        ".pt": b"PK\x03\x04",
        ".pth": b"\x80\x02",
        ".png": b"\x89PNG\r\n\x1a\n",
    }
    path = tmp_path / f"set{suffix}"
    if suffix == ".png":
        for label in range(3):
            (tmp_path / str(label)).mkdir(exist_ok=True)
        path = tmp_path / "0" / "0.png"
    path.write_bytes((beginnings.get(suffix, b"") if magic else b"") + content)
    with pytest.raises(BadFile):
        import_set(tmp_path if suffix == ".png" else path)
