"""Tensor files of our own whose checksums hold and whose headers lie, or whose layout is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from safetensors.torch import save

from bench import artifacts, checkpoints, files
from bench.preprocessing import Preprocessing
from bench.specs import Budget, Header
from tests.fakes import SPEC
from tests.reliability.hostile import (
    Family,
    mutated,
    through,
    torn,
)

SPACE = Preprocessing.normalize(SPEC)


def header_of(kind: str = artifacts.SET) -> dict[str, Any]:
    """A good header of a synthetic set or generator for the tiny dataset."""
    budget = Budget("ipc" if kind == artifacts.SET else "inpc", 1)
    header = Header(
        dataset="tiny",
        classes=SPEC.classes,
        budget=budget,
        preprocessing=SPACE.header(),
        method="walk",
        parameters={"iterations": 4},
        created={"seed": 0},
    )
    shape = {"width": 4, "latent": 4, "num_classes": 3, "channels": 1, "size_px": 8}
    return artifacts.header_as_dict(header, kind) | (
        {"generator": shape} if kind == artifacts.GENERATOR else {}
    )


def safetensors(header: Any, body: bytes = bytes(1024)) -> bytes:
    """A safetensors file with any header whatsoever."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def layout(metadata: Any) -> dict[str, Any]:
    """A good layout of images and labels."""
    return {
        "__metadata__": metadata,
        "images": {"dtype": "F32", "shape": [3, 1, 8, 8], "data_offsets": [0, 768]},
        "labels": {"dtype": "I64", "shape": [3], "data_offsets": [768, 792]},
    }


def sealed(header: Any) -> bytes:
    """A file of ours whose checksum holds, whatever its header says."""
    tensors = {"images": torch.zeros(3, 1, 8, 8), "labels": torch.arange(3)}
    try:
        sha256 = files.tensors_digest(tensors, header)
    except (ValueError, RecursionError):
        sha256 = "0" * 64
    metadata = {"bench": json.dumps(header), "sha256": sha256}
    return save(tensors, metadata)


def artefact_headers(folder: Path) -> Family:
    """Sets whose checksum holds and whose header lies."""
    cases = mutated(header_of()) | mutated(header_of(artifacts.GENERATOR))
    return Family(cases=cases.map(sealed), read=through(folder / "a.safetensors", artifacts.load))


def artefact_layouts(folder: Path) -> Family:
    """Files whose tensors are not where or what they say."""
    good = layout({"bench": json.dumps(header_of()), "sha256": "0" * 64})
    return Family(
        cases=mutated(good).map(safetensors) | torn(safetensors(good)),
        read=through(folder / "b.safetensors", artifacts.load),
    )


def artefact_headers_alone(folder: Path) -> Family:
    """Headers read without tensors, as listings do."""
    return Family(
        cases=mutated(header_of()).map(sealed) | st.binary(max_size=64),
        read=through(folder / "c.safetensors", artifacts.read_header),
    )


def checkpoint_trees(folder: Path) -> Family:
    """Checkpoints whose checksum holds and whose tree is none."""
    good = {"tree": {"items": [["images", {"tensor": "images", "device": "cpu"}], ["done", 3]]}}
    return Family(
        cases=mutated(good).map(sealed), read=through(folder / "d.safetensors", checkpoints.load)
    )
