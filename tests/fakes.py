"""Fakes at the seams: a dataset that is learnt in a blink, methods that behave and misbehave.

:func:`register` makes them plug-ins of a stranger's package, found through entry points as ours
are, also by worker processes.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from bench import plugins
from bench.data import RealSet, SyntheticSet
from bench.datasets import Dataset, Part, RealPair
from bench.errors import MissingData, NotApplicable
from bench.evaluation import EpochReport
from bench.exam import Exam
from bench.experts import Experts
from bench.files import tensors_digest
from bench.preprocessing import Preprocessing
from bench.randomness import generator
from bench.recipes import Recipe
from bench.specs import Budget, DatasetSpec
from bench.task import Task
from protocols.ipc_grid import IpcGrid

SPEC = DatasetSpec(
    name="tiny",
    classes=("left", "middle", "right"),
    channels=1,
    size_px=8,
    mean=(0.5,),
    std=(0.25,),
)
NETWORK = "convnet-d1-w8"
TRAIN_A_CLASS, TEST_A_CLASS = 20, 15


def tiny_part(name: str, count: int) -> Part:
    """``count`` images a class: a class's own pattern under noise; classes in mixed order."""
    patterns = torch.rand(3, 1, 8, 8, generator=generator("tiny", "patterns"))
    rng = generator("tiny", name)
    labels = torch.arange(3).repeat_interleave(count)[torch.randperm(3 * count, generator=rng)]
    noise = torch.rand(3 * count, 1, 8, 8, generator=rng)
    pixels = (0.5 * patterns[labels] + 0.5 * noise).mul(255).round().byte()
    return Part(pixels.numpy(), labels.numpy())


def tiny_set(name: str, count: int) -> RealSet:
    """One split of the tiny dataset, without files."""
    part = tiny_part(name, count)
    pixels, labels = torch.from_numpy(part.pixels), torch.from_numpy(part.labels)
    return RealSet(
        pixels=pixels,
        labels=labels,
        spec=SPEC,
        preprocessing=Preprocessing.normalize(SPEC),
        checksum=tensors_digest({"pixels": pixels, "labels": labels}, {}),
    )


def tiny_pair() -> RealPair:
    """The tiny dataset: 60 training and 45 test images of 3 classes, ``(1, 8, 8)``."""
    return RealPair(train=tiny_set("train", TRAIN_A_CLASS), test=tiny_set("test", TEST_A_CLASS))


def tiny_task(folder: Path, *, ipc: int = 2, seed: int = 0, network: str = NETWORK) -> Task:
    """What a method is given: the tiny training images, and experts kept in ``folder``."""
    train = tiny_pair().train
    return Task(
        real=train,
        budget=Budget("ipc", ipc),
        network=network,
        seed=seed,
        rng=generator("test", seed),
        experts=Experts(folder=folder, real=train),
    )


def exam(pair: RealPair, folder: Path, report: EpochReport | None = None) -> Exam:
    """What a protocol is given: the test images of ``pair``, and experts kept in ``folder``."""
    return Exam(test=pair.test, experts=Experts(folder=folder, real=pair.train), report=report)


@dataclass(frozen=True)
class TinyReader:
    """Reads the tiny dataset from nothing; this file stands for its source."""

    layout: str = "nothing"

    def files(self, root: Path) -> tuple[Path, ...]:
        return (Path(__file__),)

    def read(self, root: Path, spec: DatasetSpec) -> tuple[Part, Part]:
        return tiny_part("train", TRAIN_A_CLASS), tiny_part("test", TEST_A_CLASS)


TINY = Dataset(
    spec=SPEC,
    reader=TinyReader(),
    title="Tiny",
    source="a random number generator",
    licence="none",
    train_count=3 * TRAIN_A_CLASS,
    test_count=3 * TEST_A_CLASS,
)

TINY_GRID = {
    "quick": IpcGrid(
        name="tiny-grid",
        tier="quick",
        grid=(("tiny", (1,)),),
        networks=((8, NETWORK),),
        recipe=Recipe(epochs=3),
        whole_epochs=1,
        default_seeds=1,
    )
}


@dataclass(kw_only=True, eq=False)
class WalkState:
    """Everything that a checkpoint must carry: a leaf, momentum, draws, a queue and a count."""

    task: Task
    images: Tensor
    optimizer: torch.optim.SGD
    own_rng: Generator
    last: list[Tensor]
    means: dict[str, Tensor]
    lowest: float = float("inf")
    steps_done: int = 0
    best: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Images on a random walk with momentum; it counts its steps."""

    iterations: int = 4

    @property
    def steps(self) -> int:
        return self.iterations

    def prepare(self, task: Task) -> WalkState:
        images = task.initial_images("noise")
        return WalkState(
            task=task,
            images=images,
            optimizer=torch.optim.SGD([images], lr=0.1, momentum=0.9),
            own_rng=generator("walk", task.seed),
            last=[images.detach().clone()],
            means={"images": images.detach().mean()},
        )

    def step(self, state: WalkState) -> Mapping[str, Tensor]:
        shared, own = (
            torch.randn(state.images.shape, generator=rng)
            for rng in (state.task.rng, state.own_rng)
        )
        state.optimizer.zero_grad()
        loss = ((state.images - shared).square() + own * state.images).mean()
        loss.backward()
        state.optimizer.step()
        state.last = [*state.last, state.images.detach().clone()][-3:]
        state.means["images"].lerp_(state.images.detach().mean(), 0.5)
        if loss.item() < state.lowest:
            state.lowest, state.best = loss.item(), state.images.detach().clone()
        state.steps_done += 1
        return {"loss": loss.detach(), "steps": torch.tensor(float(state.steps_done))}

    def result(self, state: WalkState) -> SyntheticSet | RealSet:
        images = state.images.detach() + sum(state.last) + state.means["images"]
        images = images + (0 if state.best is None else state.best)
        return SyntheticSet(images=images, labels=state.task.hard_labels())


@dataclass(frozen=True, kw_only=True)
class GivesNaN(Walk):
    """Its images become NaN, which its metrics do not show."""

    def result(self, state: WalkState) -> SyntheticSet:
        labels = state.task.hard_labels()
        return SyntheticSet(images=state.images.detach() * float("nan"), labels=labels)


@dataclass(frozen=True, kw_only=True)
class Diverges(Walk):
    """A metric becomes infinite."""

    def step(self, state: WalkState) -> Mapping[str, Tensor]:
        return {"loss": torch.tensor(float("inf"))}


@dataclass(frozen=True, kw_only=True)
class Raises(Walk):
    """Has a bug."""

    def step(self, state: WalkState) -> Mapping[str, Tensor]:
        raise RuntimeError("a bug in the adapter\nwith a second line")


@dataclass(frozen=True, kw_only=True)
class RunsOutOfMemory(Walk):
    """Asks torch for an exabyte."""

    def step(self, state: WalkState) -> Mapping[str, Tensor]:
        return {"loss": torch.empty(2**58).sum()}


@dataclass(frozen=True, kw_only=True)
class Declines(Walk):
    """Says that it does not apply."""

    def prepare(self, task: Task) -> WalkState:
        raise NotApplicable("needs larger images")


@dataclass(frozen=True, kw_only=True)
class NeedsData(Walk):
    """Meets something that the user must put right."""

    def prepare(self, task: Task) -> WalkState:
        raise MissingData("The text encoder is not here; get it.")


@dataclass(frozen=True, kw_only=True)
class Overspends(Walk):
    """Hands over one image more than its budget."""

    def result(self, state: WalkState) -> SyntheticSet:
        images, labels = state.images.detach(), state.task.hard_labels()
        return SyntheticSet(
            images=torch.cat([images, images[:1]]), labels=torch.cat([labels, labels[:1]])
        )


@dataclass(frozen=True, kw_only=True)
class HandsOverEverything(Walk):
    """Hands over the training set under a budget of a few images."""

    def result(self, state: WalkState) -> RealSet:
        return state.task.real


@dataclass(frozen=True, kw_only=True)
class Dies(Walk):
    """Takes its process along: by an exit, or, for odd seeds, by a signal nobody can catch."""

    def step(self, state: WalkState) -> Mapping[str, Tensor]:
        if state.task.seed % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(3)


@dataclass(frozen=True, kw_only=True)
class Slow(Walk):
    """Takes a tenth of a second a step."""

    def step(self, state: WalkState) -> Mapping[str, Tensor]:
        time.sleep(0.1)
        return super().step(state)


METHODS: dict[str, type[Walk]] = {
    "walk": Walk,
    "gives-nan": GivesNaN,
    "diverges": Diverges,
    "raises": Raises,
    "runs-out-of-memory": RunsOutOfMemory,
    "declines": Declines,
    "needs-data": NeedsData,
    "overspends": Overspends,
    "hands-over-everything": HandsOverEverything,
    "dies": Dies,
    "slow": Slow,
}


ENTRY_POINTS: dict[str, dict[str, str]] = {
    "methods": {name: f"tests.fakes:{fake.__name__}" for name, fake in METHODS.items()},
    "datasets": {"tiny": "tests.fakes:TINY"},
    "protocols": {"tiny-grid": "tests.fakes:TINY_GRID"},
}


NO_RULES = {"nothing": None, "half": SPEC}
"""What a stranger may take for the tiers of a protocol."""


def register(folder: Path, groups: Mapping[str, Mapping[str, str]]) -> None:
    """Write an installed package's metadata into ``folder``, to be put on ``sys.path``."""
    home = folder / "fakes-1.0.dist-info"
    home.mkdir(parents=True)
    (home / "METADATA").write_text("Metadata-Version: 2.1\nName: fakes\nVersion: 1.0\n")
    lines: list[str] = []
    for group, entries in groups.items():
        lines += [f"[bench.{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (home / "entry_points.txt").write_text("\n".join(lines) + "\n")


def forget_plugins() -> None:
    """Let the next look-up see what is on ``sys.path`` now."""
    from bench import cards

    plugins._registered.cache_clear()
    cards.card.cache_clear()


@dataclass(frozen=True, kw_only=True, eq=False)
class NoiseGenerator:
    """A generator as source: every epoch draws other images; it remembers how often it was asked.

    Attributes:
        labels: of the images it draws.
        asked: one entry an epoch: the sum of the images handed out.
    """

    labels: Tensor
    asked: list[float] = field(default_factory=list)

    @property
    def label_kind(self) -> Any:
        return "hard"

    @property
    def learning_rate(self) -> float | None:
        return None

    @property
    def stored_bytes(self) -> int:
        return 8

    def epoch(self, rng: Generator) -> tuple[Tensor, Tensor]:
        images = torch.randn(len(self.labels), *SPEC.shape, generator=rng)
        self.asked.append(float(images.sum()))
        return images, self.labels

    def to(self, device: torch.device | str) -> NoiseGenerator:
        return self


@dataclass(frozen=True, kw_only=True, eq=False)
class WatchedSet(RealSet):
    """Real data that note every reading of images, with the size of what was read.

    Attributes:
        reads: images handed out by each call.
        log: what is appended to at each call, to compare with other events.
    """

    reads: list[int] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def images(self, index: Tensor | slice = slice(None)) -> Tensor:
        found = super().images(index)
        self.reads.append(len(found))
        self.log.append("read")
        return found


def watched(real: RealSet) -> WatchedSet:
    """The same set under watch."""
    return WatchedSet(
        pixels=real.pixels,
        labels=real.labels,
        spec=real.spec,
        preprocessing=real.preprocessing,
        checksum=real.checksum,
    )
