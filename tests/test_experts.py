"""Experts: trained once, addressed by what decided them, refused when a byte has changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import networks
from bench.data import RealSet
from bench.errors import Diverged
from bench.evaluation import start_training
from bench.experts import Expert, Experts
from bench.files import exclusive
from bench.preprocessing import Preprocessing
from bench.randomness import generator
from bench.recipes import KnowledgeDistillation, Recipe
from bench.sharpness import Sharpness
from tests.fakes import NETWORK, SPEC, tiny_pair

RECIPE = Recipe(epochs=3, lr=0.05, batch=16, augmentation="dsa")


class Interrupted(BaseException):
    """As Ctrl-C or a kill would end the process."""


def service(folder: Path, real: RealSet | None = None, **options: Any) -> Experts:
    return Experts(folder=folder, real=real or tiny_pair().train, **options)


def refuse(what: str, done: int, total: int) -> None:
    raise AssertionError("nothing should be trained")


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.safetensors")}


def independent(network: str, index: int = 0) -> tuple[list[Tensor], torch.nn.Module]:
    """Snapshots of a training that knows nothing of buffers, and the trained network."""
    train = tiny_pair().train
    training = start_training(train, network, RECIPE, train, ("expert", "tiny", network, index))
    snapshots = [networks.flatten(training.network)]
    for _ in range(RECIPE.epochs):
        training.run_epoch()
        snapshots.append(networks.flatten(training.network))
    return snapshots, training.network


def test_a_trajectory_is_the_initialisation_and_every_epoch(tmp_path: Path) -> None:
    trajectory = service(tmp_path).trajectory(NETWORK, RECIPE, 2)
    weights = generator("expert", "tiny", NETWORK, 2, "weights")
    start = networks.flatten(networks.build(NETWORK, SPEC, weights))
    assert trajectory.dtype == torch.float32
    assert trajectory.shape == (RECIPE.epochs + 1, len(start))
    assert torch.equal(trajectory[0], start)
    assert torch.equal(trajectory, torch.stack(independent(NETWORK, 2)[0]))


def test_snapshots_are_copies_of_their_own(tmp_path: Path) -> None:
    trajectory = service(tmp_path).trajectory(NETWORK, RECIPE, 0)
    for one in range(len(trajectory)):
        for other in range(one):
            assert not torch.equal(trajectory[one], trajectory[other])


@pytest.mark.parametrize("network", [NETWORK, f"{NETWORK}-bn"])
def test_a_teacher_is_the_last_snapshot_with_its_buffers(tmp_path: Path, network: str) -> None:
    experts = service(tmp_path)
    teacher = experts.teacher(network, RECIPE, 0)
    assert torch.equal(networks.flatten(teacher), experts.trajectory(network, RECIPE, 0)[-1])
    images = tiny_pair().test.images()
    assert torch.equal(teacher(images), independent(network)[1].eval()(images))
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_experts_learn(tmp_path: Path) -> None:
    test = tiny_pair().test
    teacher = service(tmp_path).teacher(NETWORK, replace(RECIPE, epochs=12, lr=0.1), 0)
    assert (teacher(test.images()).argmax(1) == test.labels).float().mean() > 0.8


def test_an_expert_is_trained_once_for_all_services(tmp_path: Path) -> None:
    first = service(tmp_path).trajectory(NETWORK, RECIPE, 0)
    again = service(tmp_path, report=refuse)
    assert torch.equal(again.trajectory(NETWORK, RECIPE, 0), first)
    assert again.trajectory(NETWORK, RECIPE, 0) is again.trajectory(NETWORK, RECIPE, 0)
    assert len(files(tmp_path)) == 1


OTHER: dict[str, Any] = {
    "epochs": 2,
    "lr": 0.06,
    "learned_lr": True,
    "momentum": 0.5,
    "weight_decay": 0.0,
    "batch": 8,
    "schedule": "cosine",
    "augmentation": "none",
    "loss": "mse-logits",
    "distillation": KnowledgeDistillation(teacher="mlp"),
    "labels": "hard",
    "mixing": "cutmix",
    "precision": "tf32",
}


class Asked(Exception):
    """An expert was asked for; carries the name it is kept under."""


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The name that an expert is kept under; nothing is trained."""

    def ask(path: Path, *, wait: bool) -> None:
        raise Asked(path.name)

    def address(
        folder: str = "here", real: RealSet | None = None, network: str = NETWORK, **asked: Any
    ) -> str:
        with pytest.raises(Asked) as caught:
            service(tmp_path / folder, real).trajectory(
                network, asked.get("recipe", RECIPE), asked.get("index", 0), asked.get("sharpness")
            )
        return str(caught.value)

    monkeypatch.setattr("bench.experts.exclusive", ask)
    return address


def test_every_part_of_the_address_counts(address: Callable[..., str]) -> None:
    real = tiny_pair().train
    names = [
        address(),
        address(index=1),
        address(network="mlp"),
        address(sharpness=Sharpness(rho=0.01, alpha=0.3)),
        address(sharpness=Sharpness(rho=0.02, alpha=0.3)),
        address(sharpness=Sharpness(rho=0.01, alpha=0.4)),
        address(real=replace(real, checksum="other")),
        address(real=replace(real, spec=replace(SPEC, name="other"))),
        address(
            real=replace(real, preprocessing=Preprocessing.normalize(replace(SPEC, mean=(0.4,))))
        ),
    ]
    assert set(OTHER) == {field.name for field in fields(Recipe)}
    names += [address(recipe=replace(RECIPE, **{key: value})) for key, value in OTHER.items()]
    assert len(set(names)) == 9 + len(OTHER)


def test_the_address_does_not_depend_on_where_things_lie(address: Callable[..., str]) -> None:
    assert address("here") == address("there")


@pytest.mark.parametrize("place", [0.0, 0.01, 0.05, 0.3, 0.6, 0.9, 0.9999])
def test_a_damaged_file_is_trained_again(
    tmp_path: Path, place: float, caplog: pytest.LogCaptureFixture
) -> None:
    first = service(tmp_path).trajectory(NETWORK, RECIPE, 0).clone()
    (name,) = files(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[int(place * len(content))] ^= 1
    (tmp_path / name).write_bytes(content)
    assert torch.equal(service(tmp_path).trajectory(NETWORK, RECIPE, 0), first)
    assert "It is trained again" in caplog.text
    service(tmp_path, report=refuse).trajectory(NETWORK, RECIPE, 0)  # and whole once more


def test_an_expert_under_another_ones_name_is_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = service(tmp_path).trajectory(NETWORK, RECIPE, 0).clone()
    (name,) = files(tmp_path)
    service(tmp_path).trajectory(NETWORK, RECIPE, 1)
    (other,) = set(files(tmp_path)) - {name}
    (tmp_path / other).replace(tmp_path / name)
    assert torch.equal(service(tmp_path).trajectory(NETWORK, RECIPE, 0), first)
    assert "holds another expert than its name says" in caplog.text


def test_what_is_served_is_a_private_map_of_the_file(tmp_path: Path) -> None:
    first = service(tmp_path).trajectory(NETWORK, RECIPE, 0)
    kept = first.clone()
    first.zero_()
    assert torch.equal(service(tmp_path, report=refuse).trajectory(NETWORK, RECIPE, 0), kept)


def test_who_comes_second_waits_and_does_not_train(tmp_path: Path) -> None:
    """Two workers want one expert: the lock decides, and the loser loads what the winner made."""
    elsewhere = service(tmp_path / "elsewhere")
    expected = elsewhere.trajectory(NETWORK, RECIPE, 0)
    (name,) = files(tmp_path / "elsewhere")
    shared = tmp_path / "shared"
    second, served = service(shared, report=refuse), []
    worker = threading.Thread(
        target=lambda: served.append(second.trajectory(NETWORK, RECIPE, 0)), daemon=True
    )
    with exclusive(shared / name.replace(".safetensors", ".lock")):  # the first one trains …
        worker.start()
        worker.join(0.2)
        assert worker.is_alive()
        (tmp_path / "elsewhere" / name).rename(shared / name)  # … and has finished
    worker.join(10)
    assert torch.equal(served[0], expected)
    assert second.waited_seconds > 0.1
    assert second.seconds == elsewhere.seconds


def test_workers_that_want_the_same_experts_share_the_work(tmp_path: Path) -> None:
    """Another worker trains the first one: the rest is trained before anybody waits for it."""
    elsewhere, shared = tmp_path / "elsewhere", tmp_path / "shared"
    expected = service(elsewhere).trajectory(NETWORK, RECIPE, 0)
    (name,) = files(elsewhere)
    trained: list[str] = []
    second = service(shared, report=lambda what, done, total: trained.append(what))
    pool = [Expert(NETWORK, RECIPE, index) for index in range(3)]
    worker = threading.Thread(target=second.train, args=(pool,), daemon=True)
    with exclusive(shared / name.replace(".safetensors", ".lock")):
        worker.start()
        deadline = time.monotonic() + 60
        while len(files(shared)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert worker.is_alive()
        (elsewhere / name).rename(shared / name)
    worker.join(60)
    assert not worker.is_alive()
    assert trained == ["expert 1"] * RECIPE.epochs + ["expert 2"] * RECIPE.epochs
    assert torch.equal(second.trajectory(NETWORK, RECIPE, 0), expected)


def interrupt_after(epochs: int) -> Callable[[str, int, int], None]:
    def report(what: str, done: int, total: int) -> None:
        if done > epochs:
            raise Interrupted

    return report


@pytest.mark.parametrize("network", [NETWORK, f"{NETWORK}-bn"])
@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_an_interrupted_expert_goes_on_where_it_was(
    tmp_path: Path, epochs: int, network: str
) -> None:
    with pytest.raises(Interrupted):
        service(tmp_path, report=interrupt_after(epochs), checkpoint_seconds=0.0).trajectory(
            network, RECIPE, 0
        )
    assert files(tmp_path) == set()
    told: list[int] = []
    resumed = service(tmp_path, report=lambda _, done, total: told.append(done))
    assert torch.equal(resumed.trajectory(network, RECIPE, 0), torch.stack(independent(network)[0]))
    assert told == list(range(epochs + 1, RECIPE.epochs + 1))
    assert not list(tmp_path.glob("*.partial"))


def test_a_damaged_partial_expert_starts_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Interrupted):
        service(tmp_path, report=interrupt_after(2), checkpoint_seconds=0.0).trajectory(
            NETWORK, RECIPE, 0
        )
    (partial,) = tmp_path.glob("*.partial")
    content = bytearray(partial.read_bytes())
    content[-1] ^= 1
    partial.write_bytes(content)
    trajectory = service(tmp_path).trajectory(NETWORK, RECIPE, 0)
    assert "The expert starts again" in caplog.text
    assert torch.equal(trajectory, torch.stack(independent(NETWORK)[0]))


def test_costs_are_counted_once_an_expert_wherever_it_comes_from(tmp_path: Path) -> None:
    first = service(tmp_path)
    for index in (0, 1, 0, 1):
        first.trajectory(NETWORK, RECIPE, index)
        first.teacher(NETWORK, RECIPE, index)
    second = service(tmp_path, report=refuse)
    second.teacher(NETWORK, RECIPE, 1)
    one = second.seconds
    second.teacher(NETWORK, RECIPE, 0)
    assert second.seconds == pytest.approx(first.seconds, rel=1e-12)
    assert 0 < one < second.seconds
    assert first.peak_bytes == second.peak_bytes > 0


def test_an_expert_that_diverges_says_so_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="an expert at epoch"):
        service(tmp_path).trajectory(NETWORK, replace(RECIPE, lr=1e20), 0)
    assert files(tmp_path) == set()


def test_global_randomness_is_left_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    service(tmp_path).teacher(NETWORK, RECIPE, 0)
    assert torch.equal(torch.get_rng_state(), before)
