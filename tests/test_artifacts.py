"""Synthetic sets as files: what is saved comes back, and nothing else is accepted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import artifacts, files
from bench.data import SyntheticSet
from bench.errors import BadFile, ContractError, InvalidValue
from bench.randomness import generator
from bench.specs import Budget, Header

HEADER = Header(
    dataset="toy",
    classes=("a", "b", "ü/…"),
    budget=Budget("ipc", 2),
    preprocessing={"kind": "normalize", "mean": [0.5], "std": [0.25]},
    method="dm",
    parameters={"iterations": 10, "init": "real", "segment": None},
    created={"seed": 3},
)
OWN_FOLDER = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def make(soft: bool = False, learning_rate: float | None = None) -> SyntheticSet:
    rng = generator("artifacts")
    labels = torch.randn(6, 3, generator=rng) if soft else torch.tensor([0, 0, 1, 1, 2, 2])
    images = torch.randn(6, 1, 4, 4, generator=rng)
    return SyntheticSet(images=images, labels=labels, learning_rate=learning_rate, header=HEADER)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("learning_rate", [None, 0.1])
def test_a_saved_set_comes_back_bit_for_bit(
    soft: bool, learning_rate: float | None, tmp_path: Path
) -> None:
    made = make(soft, learning_rate)
    artifacts.save(made, tmp_path / "set.safetensors")
    loaded = artifacts.load(tmp_path / "set.safetensors")
    assert torch.equal(loaded.images, made.images)
    assert torch.equal(loaded.labels, made.labels)
    assert loaded.labels.dtype == made.labels.dtype
    assert loaded.learning_rate == learning_rate
    assert loaded.header == HEADER


def test_equal_content_has_one_hash_and_other_content_another(tmp_path: Path) -> None:
    hashes = [
        artifacts.save(made, tmp_path / "set.safetensors")
        for made in (make(), make(), make(soft=True), make(learning_rate=0.1))
    ]
    assert len(set(hashes)) == 3
    assert hashes[0] == hashes[1]


def test_the_file_is_one_that_any_safetensors_reader_opens(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    artifacts.save(make(learning_rate=0.1), tmp_path / "set.safetensors")
    tensors = load_file(tmp_path / "set.safetensors")
    assert {name: (t.dtype, t.ndim) for name, t in tensors.items()} == {
        "images": (torch.float32, 4),
        "labels": (torch.int64, 1),
        "learning_rate": (torch.float64, 0),
    }


def test_the_header_is_read_without_the_tensors(tmp_path: Path) -> None:
    path = tmp_path / "set.safetensors"
    artifacts.save(make(), path)
    content = path.read_bytes()
    path.write_bytes(content[:-64] + bytes(64))
    assert artifacts.read_header(path) == HEADER
    with pytest.raises(BadFile, match="checksum"):
        artifacts.load(path)


def test_a_set_without_header_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="has no header"):
        artifacts.save(replace(make(), header=None), tmp_path / "set.safetensors")


@pytest.mark.parametrize(
    "changes",
    [
        {"images": torch.full((6, 1, 4, 4), float("nan"))},
        {"images": torch.zeros(6, 1, 4, 4, dtype=torch.float64)},
        {"images": torch.zeros(6, 1, 4, 5)},
        {"images": torch.zeros(5, 1, 4, 4)},
        {"labels": torch.tensor([0, 0, 1, 1, 2, 3])},
        {"labels": torch.zeros(6, 2)},
        {"labels": torch.zeros(6, dtype=torch.int32)},
        {"learning_rate": -0.1},
    ],
)
def test_a_set_that_contradicts_its_header_is_not_saved(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ContractError):
        artifacts.save(replace(make(), **changes), tmp_path / "set.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "synthetic-dream"}, "holds a 'synthetic-dream'; this version reads"),
        ({"kind": None}, "holds a None"),
        ({"schema": 2}, "follows schema 2; this version reads schema 1"),
        ({"schema": True}, "broken header: schema"),
        ({"classes": []}, "classes must be a list of names"),
        ({"classes": ["a", 1, "c"]}, "classes must be a list of names"),
        ({"classes": ["a", "b"]}, r"labels must lie in \[0, 2\)"),
        ({"budget": {"kind": "ipc"}}, "its budget is"),
        ({"budget": {"kind": ["ipc"], "count": 1}}, "is not one of ipc, inpc, full"),
        ({"budget": {"kind": "ipc", "count": 0}}, "cannot be"),
        ({"method": 1}, "broken header: method"),
        ({"mood": "good"}, "broken header: mood"),
    ],
)
def test_a_broken_header_is_refused_by_name(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "set.safetensors"
    header = artifacts.header_as_dict(HEADER) | changes
    files.save_tensors(path, artifacts.tensors_of(make()), header)
    with pytest.raises(BadFile, match=message):
        artifacts.load(path)


@pytest.mark.parametrize("field", sorted(artifacts.header_as_dict(HEADER)))
def test_every_field_of_the_header_is_required(field: str, tmp_path: Path) -> None:
    path = tmp_path / "set.safetensors"
    header = artifacts.header_as_dict(HEADER)
    del header[field]
    files.save_tensors(path, artifacts.tensors_of(make()), header)
    with pytest.raises(BadFile):
        artifacts.read_header(path)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weights": torch.zeros(1)}, "holds the tensors images, labels, weights"),
        ({"images": torch.zeros(6, 1, 4, 4).half()}, "images must be float32"),
        ({"images": torch.zeros(6, 16)}, r"images must be \(N, C, H, H\)"),
        ({"images": torch.full((6, 1, 4, 4), float("inf"))}, "NaN or infinity"),
        ({"labels": torch.zeros(6)}, "labels must be"),
        ({"labels": torch.zeros(6, 3, 1)}, "labels must be"),
        ({"labels": torch.full((6,), -1)}, "labels must lie in"),
        ({"learning_rate": torch.tensor(0.1)}, "no float64 scalar"),
        ({"learning_rate": torch.tensor(-0.1, dtype=torch.float64)}, "must be positive"),
    ],
)
def test_tensors_that_do_not_fit_the_layout_are_refused(
    tensors: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "set.safetensors"
    stored = artifacts.tensors_of(make()) | tensors
    files.save_tensors(path, stored, artifacts.header_as_dict(HEADER))
    with pytest.raises(BadFile, match=message):
        artifacts.load(path)


def test_a_file_without_labels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.safetensors"
    files.save_tensors(path, {"images": make().images}, artifacts.header_as_dict(HEADER))
    with pytest.raises(BadFile, match="holds the tensors images; expected images, labels"):
        artifacts.load(path)


def test_a_header_that_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save

    path = tmp_path / "set.safetensors"
    header = artifacts.header_as_dict(HEADER) | {"parameters": {"lr": float("nan")}}
    path.write_bytes(save(artifacts.tensors_of(make()), {"bench": json.dumps(header)}))
    with pytest.raises(BadFile, match="JSON cannot hold"):
        artifacts.load(path)


def test_a_file_beyond_the_limit_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "set.safetensors"
    artifacts.save(make(), path)
    monkeypatch.setattr(artifacts, "MAX_FILE_BYTES", 100)
    with pytest.raises(BadFile, match="larger than 100 bytes"):
        artifacts.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile):
        artifacts.load(tmp_path / "absent.safetensors")


@OWN_FOLDER
@given(st.data())
def test_a_changed_byte_is_noticed_unless_it_changes_nothing(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "set.safetensors"
    made = make(soft=True, learning_rate=0.1)
    if not path.exists():
        artifacts.save(made, path)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    changed = tmp_path / "changed.safetensors"
    changed.write_bytes(content)
    try:
        loaded = artifacts.load(changed)
    except BadFile:
        return
    assert chr(content[position]).isspace()  # between the values of the JSON header
    assert torch.equal(loaded.images, made.images)


@OWN_FOLDER
@given(st.data())
def test_any_truncation_is_noticed(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "set.safetensors"
    if not path.exists():
        artifacts.save(make(), path)
    content = path.read_bytes()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(BadFile):
        artifacts.load(cut)


@OWN_FOLDER
@given(st.binary(max_size=400))
def test_random_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "set.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadFile):
        artifacts.load(path)
