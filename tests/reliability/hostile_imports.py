"""Sets and datasets of other tools: pickles, arrays, archives, parquet, folders of pictures."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from hypothesis import strategies as st

from bench import datasets, exchange
from tests.fakes import SPEC
from tests.reliability.hostile import (
    TEXTS,
    VALUES,
    Family,
    mutated,
    through,
    torn,
)
from tests.reliability.hostile_tensors import SPACE, header_of


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.mark),)


def imported(path: Path) -> object:
    """A set of another tool, read for the tiny dataset."""
    return exchange.read(path, SPEC, preprocessing=SPACE)


def torch_files(folder: Path) -> Family:
    """Pickles, with and without bombs, in torch's own containers and bare."""
    images, labels = torch.rand(3, 1, 8, 8), torch.arange(3)
    bomb = Bomb(str(folder / "executed"))
    values: list[Any] = [
        {"images": images, "labels": labels},
        {"images": images, "labels": bomb},
        (images, labels, bomb),
        {"data": [[images, labels]], "accs": bomb},
        bomb,
    ]
    contents = []
    for value in values:
        for zipped in (True, False):
            stream = io.BytesIO()
            torch.save(value, stream, _use_new_zipfile_serialization=zipped)
            contents.append(stream.getvalue())
        contents.append(pickle.dumps(value))
    return Family(
        cases=st.sampled_from(contents).flatmap(lambda content: st.just(content) | torn(content))
        | hostile_zips(),
        read=through(folder / "set.pt", imported),
    )


def numpy_files(folder: Path) -> Family:
    """Archives and arrays of numpy, whose headers claim what they like."""
    stream = io.BytesIO()
    np.savez(stream, images=np.random.default_rng(0).random((3, 1, 8, 8)), labels=np.arange(3))
    descriptions = st.builds(
        "{{'descr': {!r}, 'fortran_order': {!r}, 'shape': {!r}, }}".format,
        st.sampled_from(["<f4", "|O", "<U9", ">f8", "|V8", "<M8[s]", "__import__('os')", "<c16"]),
        st.booleans() | VALUES,
        st.lists(st.sampled_from([0, 1, 3, 8, -1, 2**31, 2**62, 10**30]), max_size=6).map(tuple),
    )
    arrays = st.tuples(descriptions, st.binary(max_size=64)).map(
        lambda case: _npy(case[0].encode(errors="replace")) + case[1]
    )
    archives = arrays.map(_npz)

    def read(case: tuple[str, bytes]) -> object:
        return through(folder / f"set.{case[0]}", imported)(case[1])

    return Family(
        cases=st.tuples(st.just("npy"), arrays)
        | st.tuples(st.just("npz"), archives | torn(stream.getvalue()) | hostile_zips()),
        read=read,
    )


def _npy(header: bytes) -> bytes:
    padded = header[:65_000] + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


def _npz(array: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("images.npy", array)
    return stream.getvalue()


@st.composite
def hostile_zips(draw: st.DrawFn) -> bytes:
    """Archives whose members would land elsewhere, repeat, or unpack without end."""
    stream = io.BytesIO()
    names = st.sampled_from(
        [
            *("images.npy", "../escaped.npy", "/tmp/escaped.png", "a/../../escaped.png"),
            *("left/0.png", "right/0.png", "train/left/0.png", "x" * 300, "a\\..\\b.png"),
            "archive/data.pkl",
        ]
    )
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in draw(st.lists(names, max_size=4, unique=True)):
            archive.writestr(
                name, draw(st.binary(max_size=40)) + bytes(draw(st.sampled_from([0, 9**6])))
            )
    return draw(st.just(stream.getvalue()) | torn(stream.getvalue()))


def parquet_files(folder: Path) -> Family:
    """Parquet with hostile metadata, odd columns, and damage; as a set and as a dataset."""
    cell = {"bytes": b"\x89PNG\r\n\x1a\n", "path": "../escaped.png"}
    about = {"header": json.dumps(header_of()), "sha256": "0", "shape": [1, 8, 8]}

    @st.composite
    def tables(draw: st.DrawFn) -> bytes:
        metadata = {"bench": json.dumps(draw(mutated(about | {"learning_rate": None})))}
        columns = {
            draw(st.sampled_from(["image", "img", "x"])): [cell, cell],
            draw(st.sampled_from(["label", "labels", "y"])): draw(
                st.sampled_from([[0, 1], [-1, 2**60], [None, 0], ["a", "b"], [0.5, 1.5]])
            ),
            "pixels": [[0.0] * 64] * 2,
        }
        table = pa.table(columns).replace_schema_metadata(metadata if draw(st.booleans()) else {})
        stream = io.BytesIO()
        pq.write_table(table, stream)
        return draw(st.just(stream.getvalue()) | torn(stream.getvalue()))

    def read(path: Path) -> object:
        try:
            return imported(path)
        finally:
            datasets.describe(f"mine={path}")

    return Family(cases=tables(), read=through(folder / "set.parquet", read))


def archives(folder: Path) -> Family:
    """Zip archives given as datasets."""
    return Family(
        cases=hostile_zips(),
        read=through(folder / "mine.zip", lambda path: datasets.describe(f"mine={path}")),
    )


def trees(folder: Path) -> Family:
    """Class folders with odd names and broken pictures, as a set and as a dataset."""
    names = (
        TEXTS.filter(lambda text: 0 < len(text.encode(errors="ignore")) < 200)
        .map(
            lambda text: text.encode(errors="ignore").decode().replace("/", "_").replace("\0", "_")
        )
        .filter(lambda text: text not in ("", ".", ".."))
    )
    pictures = st.sampled_from(["0.png", "x.JPEG", ".hidden.png", "notes.txt", "ü.png"])

    def read(case: list[tuple[str, str, bytes]]) -> object:
        root = folder / "tree"
        if root.exists():
            root.rename(folder / f"old-{uuid4()}")
        root.mkdir()
        for name, picture, content in case:
            (root / name).mkdir(exist_ok=True)
            (root / name / picture).write_bytes(content)
        try:
            return imported(root)
        finally:
            datasets.describe(f"mine={root}")

    contents = st.binary(max_size=60) | st.just(b"\x89PNG\r\n\x1a\n").map(lambda magic: magic * 3)
    return Family(cases=st.lists(st.tuples(names, pictures, contents), max_size=4), read=read)
