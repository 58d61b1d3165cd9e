"""Files of generators: the same bits again, and nothing that contradicts itself."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench import api, artifacts, files
from bench.errors import BadFile, BenchError, ContractError, InvalidValue
from bench.exchange import read
from bench.generators import SyntheticGenerator
from bench.randomness import generator
from bench.specs import Budget
from tests.fakes import NoiseGenerator, tiny_pair
from tests.generators import HEADER, SHAPE, SPACE, SPEC, make

OWN_FOLDER = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_a_saved_generator_draws_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    artifacts.save(make(), path)
    loaded = artifacts.load(path)
    assert isinstance(loaded, SyntheticGenerator)
    assert (loaded.shape, loaded.per_class, loaded.header) == (SHAPE, 5, HEADER)
    assert artifacts.read_header(path) == HEADER
    assert torch.equal(loaded.epoch(generator("e"))[0], make().epoch(generator("e"))[0])
    assert isinstance(api.load(path), SyntheticGenerator)


def test_equal_content_has_one_hash_and_another_budget_another(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    hashes = [artifacts.save(each, path) for each in (make(), make(), make().with_budget(7))]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"header": None}, InvalidValue, "has no header"),
        ({"per_class": 6}, ContractError, "was made for the budget inpc 5"),
        ({"header": replace(HEADER, budget=Budget("ipc", 5))}, ContractError, "budget ipc 5"),
        ({"header": replace(HEADER, classes=("a", "b"))}, ContractError, "but toy has 2"),
        ({"header": replace(HEADER, preprocessing={})}, ContractError, "in the pixel space"),
        ({"weights": {}}, ContractError, "weights are not those"),
    ],
)
def test_a_generator_that_contradicts_its_header_is_not_saved(
    changes: dict[str, Any], error: type[BenchError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        artifacts.save(replace(make(), **changes), tmp_path / "generator.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_source_without_layout_is_not_saved(tmp_path: Path) -> None:
    for source in (NoiseGenerator(labels=torch.arange(3)), tiny_pair().train):
        with pytest.raises(ContractError, match="cannot be stored; hand over"):
            artifacts.save(source, tmp_path / "source.safetensors")


def stored() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a good file."""
    tensors = {f"weights.{name}": value for name, value in make().weights.items()}
    space = {"mean": SPACE.mean.flatten(), "std": SPACE.std.flatten()}
    header = artifacts.header_as_dict(HEADER, artifacts.GENERATOR)
    return tensors | space, header | {"generator": asdict(SHAPE)}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"generator": None}, "broken header: generator"),
        ({"generator": {}}, "describes no generator of this version"),
        ({"generator": asdict(SHAPE) | {"depth": 3}}, "describes no generator of this version"),
        ({"generator": asdict(SHAPE) | {"width": "4"}}, "width of a GAN is '4'"),
        ({"generator": asdict(SHAPE) | {"width": 2**60}}, "width of a GAN is"),
        ({"generator": asdict(SHAPE) | {"width": 5}}, "weights are not those"),
        ({"generator": asdict(SHAPE) | {"size_px": 9}}, "images of 9 px"),
        ({"generator": asdict(SHAPE) | {"channels": 1}}, "a float32 mean of 1 channels"),
        ({"budget": {"kind": "ipc", "count": 5}}, "made for the budget ipc 5"),
        ({"budget": {"kind": "inpc", "count": 10**9}}, "an epoch of 1000000000 images"),
        ({"classes": ["a", "b"]}, "num_classes is 3, but toy has 2"),
        ({"preprocessing": {"kind": "zca"}}, "in the pixel space"),
        ({"schema": 2}, "follows schema 2"),
        ({"kind": "synthetic-set"}, "broken header: generator"),
        ({"mood": "good"}, "broken header: mood"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    header: dict[str, Any], message: str, tmp_path: Path
) -> None:
    tensors, described = stored()
    path = tmp_path / "generator.safetensors"
    files.save_tensors(path, tensors, described | header)
    with pytest.raises(BadFile, match=message):
        artifacts.load(path)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"mean": None}, "a float32 mean of 3 channels"),
        ({"std": torch.ones(1)}, "a float32 std of 3 channels"),
        ({"std": torch.ones(3)}, "in the pixel space"),
        ({"mean": SPACE.mean.flatten().double()}, "a float32 mean of 3 channels"),
        ({"images": torch.zeros(1)}, "weights are not those"),
        ({"weights.layers.0.bias": None}, "weights are not those"),
        ({"weights.layers.0.bias": torch.full((64,), torch.inf)}, "NaN or infinity"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    tensors: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    good, described = stored()
    path = tmp_path / "generator.safetensors"
    kept = {name: value for name, value in (good | tensors).items() if value is not None}
    files.save_tensors(path, kept, described)
    with pytest.raises(BadFile, match=message):
        artifacts.load(path)


@OWN_FOLDER
@given(st.data())
def test_a_changed_byte_is_noticed_unless_it_changes_nothing(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "generator.safetensors"
    if not path.exists():
        artifacts.save(make(), path)
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
    assert isinstance(loaded, SyntheticGenerator)


def test_those_who_need_images_are_told_what_to_do_instead(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    artifacts.save(make(), path)
    with pytest.raises(BadFile, match="holds a generator, which draws new images"):
        artifacts.load_set(path)
    with pytest.raises(BadFile, match="holds a generator, which draws new images"):
        read(path, SPEC, preprocessing=SPACE)
