"""Checkpoints carry everything that changes in a state, and put it back where it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor, nn

from bench import checkpoints, networks
from bench.errors import BadFile, ContractError
from bench.evaluation import start_training
from bench.files import save_tensors
from bench.randomness import generator
from bench.recipes import Recipe
from bench.training import Training
from tests.fakes import NETWORK, SPEC, Walk, WalkState, tiny_pair, tiny_task

OWN_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

TENSORS = st.sampled_from(
    [
        torch.tensor(1.5),
        torch.zeros(0, 3),
        torch.tensor([1.0, float("nan"), float("inf")], dtype=torch.bfloat16),
        torch.tensor([True, False]),
        torch.arange(6).view(2, 3).T,
        torch.rand(2, 2, generator=generator("tree"), dtype=torch.float64),
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | TENSORS
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def plain(tree: Any) -> Any:
    """A tree as values that ``==`` compares, types and NaN included."""
    if isinstance(tree, Tensor):
        return "tensor", str(tree.dtype), tuple(tree.shape), repr(tree.double().tolist())
    if isinstance(tree, dict):
        return [(repr(key), plain(value)) for key, value in tree.items()]
    return [plain(item) for item in tree] if isinstance(tree, list) else repr(tree)


def moved(state: WalkState, steps: int) -> WalkState:
    for _ in range(steps):
        Walk().step(state)
    return state


def fresh(folder: Path) -> WalkState:
    return Walk().prepare(tiny_task(folder))


@OWN_FOLDER
@given(tree=TREES)
def test_any_tree_comes_back_from_a_file(tmp_path: Path, tree: Any) -> None:
    path = tmp_path / "tree"
    checkpoints.save(path, {"tree": tree})
    assert plain(checkpoints.load(path)["tree"]) == plain(tree)


def test_a_captured_state_is_a_copy(tmp_path: Path) -> None:
    state = moved(fresh(tmp_path), 2)
    saved = checkpoints.capture(state)
    before = plain(saved)
    moved(state, 2)
    assert plain(saved) == before


def test_a_restored_state_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    undisturbed, interrupted = moved(fresh(tmp_path), 3), fresh(tmp_path)
    checkpoints.save(tmp_path / "file", checkpoints.capture(undisturbed))
    images, momentum = interrupted.images, interrupted.optimizer
    checkpoints.restore(interrupted, checkpoints.load(tmp_path / "file"))
    interrupted.task.rng.set_state(undisturbed.task.rng.get_state())
    ours, theirs = moved(interrupted, 3), moved(undisturbed, 3)
    assert plain(checkpoints.capture(ours)) == plain(checkpoints.capture(theirs))
    assert ours.images is images
    assert ours.images.requires_grad
    assert momentum.param_groups[0]["params"][0] is images


def test_what_is_frozen_is_left_to_prepare(tmp_path: Path) -> None:
    assert "task" not in checkpoints.capture(fresh(tmp_path))


@dataclass(kw_only=True, eq=False)
class Everything:
    """A state of every kind of thing, parametrised by a seed so that two differ everywhere."""

    seed: int
    leaves: list[Tensor] = field(init=False)
    pair: tuple[Tensor, int] = field(init=False)
    table: dict[int, Tensor] = field(init=False)
    network: nn.Module = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)
    schedule: Any = field(init=False)
    inner: Training = field(init=False)
    rng: Generator = field(init=False)
    nothing: None = None

    def __post_init__(self) -> None:
        def draw() -> Tensor:
            return torch.randn(3, generator=self.rng)

        self.rng = generator("everything", self.seed)
        self.leaves = [draw().requires_grad_(), draw().requires_grad_()]
        self.pair, self.table = (draw(), self.seed), {3: draw()}
        self.network = networks.build(f"{NETWORK}-bn", SPEC, self.rng)
        self.optimizer = torch.optim.Adam(self.leaves, lr=0.1, betas=(0.5, 0.9))
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 2)
        train = tiny_pair().train
        recipe = Recipe(epochs=9, batch=16)
        self.inner = start_training(train, NETWORK, recipe, train, ("inner", self.seed))

    def advance(self) -> None:
        self.optimizer.zero_grad()
        total = torch.stack([leaf.pow(2).sum() for leaf in self.leaves]).sum()
        total.backward()
        self.optimizer.step()
        self.schedule.step()
        self.network(tiny_pair().train.images(slice(4)))  # moves running statistics
        self.inner.run_epoch()
        self.table[3] += torch.randn(3, generator=self.rng)


def test_every_kind_of_thing_is_carried(tmp_path: Path) -> None:
    one, other = Everything(seed=1), Everything(seed=2)
    for _ in range(3):
        one.advance()
    leaf = other.leaves[0]
    checkpoints.save(tmp_path / "file", checkpoints.capture(one))
    checkpoints.restore(other, checkpoints.load(tmp_path / "file"))
    assert other.leaves[0] is leaf
    for state in (one, other):
        state.advance()
    assert plain(checkpoints.capture(other)) == plain(checkpoints.capture(one))


def test_a_checkpoint_of_other_fields_changes_nothing(tmp_path: Path) -> None:
    state = fresh(tmp_path)
    before = plain(checkpoints.capture(state))
    saved = checkpoints.capture(moved(fresh(tmp_path), 2))
    del saved["steps_done"]
    with pytest.raises(BadFile, match="another state"):
        checkpoints.restore(state, saved)
    assert plain(checkpoints.capture(state)) == before


@dataclass(kw_only=True)
class Entangled:
    images: Tensor
    best: Tensor


def test_fields_that_share_memory_are_reported_not_mixed_up() -> None:
    images = torch.zeros(3)
    saved = {"images": torch.ones(3), "best": torch.full((3,), 2.0)}
    with pytest.raises(ContractError, match=r"Entangled .* share memory"):
        checkpoints.restore(Entangled(images=images, best=images.view(-1)), saved)


@dataclass(frozen=True)
class FrozenState:
    images: Tensor
    name: str


def test_a_frozen_state_can_be_restored() -> None:
    state = FrozenState(torch.zeros(2), "a")
    checkpoints.restore(state, checkpoints.capture(FrozenState(torch.ones(2), "a")))
    assert state.images.tolist() == [1, 1]


@pytest.mark.parametrize("position", [3, 30, 100, -1])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, position: int) -> None:
    path = tmp_path / "file"
    checkpoints.save(path, checkpoints.capture(fresh(tmp_path)))
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadFile):
        checkpoints.load(path)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"tree": {"tensor": "9", "device": "cpu"}},
        {"tree": {"items": 3}},
        {"tree": {"tensor": "0", "device": "nowhere"}},
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, header: dict[str, Any]) -> None:
    save_tensors(tmp_path / "file", {"0": torch.zeros(2)}, header)
    with pytest.raises(BadFile, match="no checkpoint"):
        checkpoints.load(tmp_path / "file")
