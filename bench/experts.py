"""The expert buffer service: networks trained on real data once, and shared by every method.

A *trajectory* is one network's parameters at initialisation and after every epoch (MTT, TESLA,
DATM); a *teacher* is its last snapshot (APM, core-sets). Both are read from one file, addressed by
everything that decided its content, memory-mapped, and refused when a byte has changed.

They are trained as students are (:mod:`bench.evaluation.engine`): on CUDA several of a pool as one
program, on the CPU one after the other, by a compiled step where that pays, and side by side where
there are several workers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench import expert_training, networks
from bench.data import RealSet
from bench.errors import BadFile, InUse
from bench.evaluation import Assignment, Choice, Strategy, engine, memory, start_training
from bench.expert_training import MOST_TOGETHER, ExpertInTraining, ExpertReport
from bench.files import digest, exclusive, load_tensors, save_tensors
from bench.networks import Network
from bench.recipes import Recipe
from bench.sharpness import Sharpness

log = logging.getLogger(__name__)

VERSION = 1
"""Raised when training an expert gives other numbers; part of every address."""


@dataclass(frozen=True)
class Expert:
    """What decides an expert, beside the data that it is trained on.

    Attributes:
        network: its architecture.
        recipe: how it is trained on the real images.
        index: which one; each has its own seed.
        sharpness: sharpness-aware steps instead of plain ones (FTD, DATM).
    """

    network: str
    recipe: Recipe
    index: int
    sharpness: Sharpness | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for hashing and headers."""
        return asdict(self) | {"recipe": self.recipe.as_dict()}


@dataclass(kw_only=True, eq=False)
class Experts:
    """Trains, stores and serves experts of one training set.

    Attributes:
        folder: where buffers are kept.
        real: the training images.
        report: called after each epoch that is trained.
        checkpoint_seconds: training time between two checkpoints of an expert.
        strategy: how to train: ``reference``, ``compiled``, ``vectorised``; ``auto`` chooses.
        seconds: training time of every expert served so far, whether trained now or before.
        waited_seconds: time that this process has spent on training and loading them.
        peak_bytes: the largest peak of training one of them.
    """

    folder: Path
    real: RealSet
    report: ExpertReport | None = None
    checkpoint_seconds: float = 30.0
    strategy: Choice = "auto"
    seconds: float = 0.0
    waited_seconds: float = 0.0
    peak_bytes: int = 0
    _served: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    def train(self, wanted: Iterable[Expert]) -> None:
        """Train those of several experts that are not in the buffers yet.

        Workers that want the same experts share the work: each takes one that nobody is training,
        and only at the end waits for those that others are still training.

        Raises:
            Diverged: the loss of one of them became NaN or infinite.
        """
        wanted, others = list(wanted), list[Expert]()
        self._train_together(wanted)
        for expert in wanted:
            try:
                self._snapshots(expert, wait=False)
            except InUse:
                others.append(expert)
        for expert in others:
            self._snapshots(expert)

    def trajectory(
        self, network: str, recipe: Recipe, index: int, sharpness: Sharpness | None = None
    ) -> Tensor:
        """Parameters of expert ``index`` over training, ``(epochs + 1, P)`` float32, read-only.

        Args:
            network: its architecture.
            recipe: how it is trained on the real images.
            index: which expert; each has its own seed.
            sharpness: sharpness-aware steps instead of plain ones (FTD, DATM).

        Raises:
            Diverged: its loss became NaN or infinite.
        """
        return self._snapshots(Expert(network, recipe, index, sharpness))["trajectory"]

    def teacher(
        self, network: str, recipe: Recipe, index: int, sharpness: Sharpness | None = None
    ) -> Network:
        """Expert ``index`` after its last epoch, frozen, in eval mode."""
        tensors = self._snapshots(Expert(network, recipe, index, sharpness))
        spec, device = self.real.spec, self.real.device
        teacher = networks.build(network, spec, torch.Generator(), device=device)
        with torch.no_grad():
            flat = tensors["trajectory"][-1].to(device, non_blocking=True)
            for name, value in networks.unflatten(teacher, flat).items():
                teacher.get_parameter(name).copy_(value)
            for name, buffer in teacher.named_buffers():
                buffer.copy_(tensors[f"buffer.{name}"], non_blocking=True)
        return teacher.requires_grad_(False).eval()

    def _snapshots(self, expert: Expert, *, wait: bool = True) -> dict[str, Tensor]:
        start = time.perf_counter()
        try:
            return self._load_or_train(expert, wait=wait)
        finally:
            self.waited_seconds += time.perf_counter() - start

    def _load_or_train(self, expert: Expert, *, wait: bool) -> dict[str, Tensor]:
        key = self._key(expert)
        if key in self._served:  # verified already; steps may ask for experts again and again
            return self._served[key]
        with exclusive(self._lock(key), wait=wait):  # another worker may be training it now
            if not self._load(key):
                self._train([expert])
            return self._served[key]

    def _load(self, key: str) -> bool:
        """Serve an expert from the buffers; whether it is there whole. Its lock is held."""
        path = self._path(key)
        if not path.exists():
            return False
        try:
            tensors, header = load_tensors(path)
            if header.get("key") != key:
                raise BadFile(f"{path} holds another expert than its name says.")
        except BadFile as error:
            log.warning("%s It is trained again.", error)
            return False
        self._partial(key).unlink(missing_ok=True)  # a kill may have come before it went
        self._serve(key, tensors, header["seconds"], header["peak_bytes"])
        return True

    def _assignment(self, expert: Expert) -> Assignment:
        """What experts of a kind have in common, in the engine's terms."""
        return Assignment(
            source=self.real, network=expert.network, recipe=expert.recipe, test=self.real
        )

    def _strategy(self, expert: Expert) -> Strategy:
        """How experts of a kind are trained: facts decide, as for a single student."""
        if self.strategy != "auto":
            return self.strategy
        return engine.choose(self._assignment(expert), 1)

    def _train_together(self, wanted: Sequence[Expert]) -> None:
        """Of the kinds that are trained as one program, train those that are missing and free."""
        start = time.perf_counter()
        kinds: dict[Expert, list[Expert]] = {}
        for expert in dict.fromkeys(wanted):
            kinds.setdefault(replace(expert, index=0), []).append(expert)
        for kind, alike in kinds.items():
            if self._strategy(kind) == "vectorised":
                for first in range(0, len(alike), MOST_TOGETHER):
                    self._train_free(alike[first : first + MOST_TOGETHER])
        self.waited_seconds += time.perf_counter() - start

    def _train_free(self, alike: Sequence[Expert]) -> None:
        """Train those of one kind that are missing and whose locks are free, as many as fit."""
        with ExitStack() as locks:
            missing = [expert for expert in alike if self._claim(expert, locks)]
            if missing:
                kind = missing[0]
                fit = memory.group_size(self._assignment(kind), len(missing), kind.sharpness)
                memory.in_groups(self._train, missing, fit)

    def _claim(self, expert: Expert, locks: ExitStack) -> bool:
        """Take the lock of an expert that is to be trained; whether it is."""
        key = self._key(expert)
        with ExitStack() as own:
            try:
                own.enter_context(exclusive(self._lock(key), wait=False))
            except InUse:
                return False
            if key in self._served or self._load(key):
                return False
            locks.enter_context(own.pop_all())
            return True

    def _train(self, alike: Sequence[Expert]) -> list[str]:
        """Train, keep and serve experts of one kind whose locks are held; their keys.

        Each resumes from its last finished epoch if it was interrupted.
        """
        begun = [self._begin(expert) for expert in alike]
        strategy = self._strategy(alike[0])
        expert_training.train(
            begun,
            self._assignment(alike[0]),
            strategy,
            report=self.report,
            checkpoint_seconds=self.checkpoint_seconds,
        )
        pairs = zip(alike, begun, strict=True)
        return [self._keep(expert, one, strategy) for expert, one in pairs]

    def _begin(self, expert: Expert) -> ExpertInTraining:
        scope = ("expert", self.real.spec.name, expert.network, expert.index)
        training = start_training(self.real, expert.network, expert.recipe, self.real, scope)
        training.sharpness = expert.sharpness
        begun = ExpertInTraining(
            name=f"expert {expert.index}",
            training=training,
            partial=self._partial(self._key(expert)),
        )
        begun.resume()
        return begun

    def _keep(self, expert: Expert, trained: ExpertInTraining, strategy: Strategy) -> str:
        key, path = self._key(expert), self._path(self._key(expert))
        cost = {"seconds": trained.seconds, "peak_bytes": trained.peak_bytes}
        header = {"key": key, "strategy": strategy} | cost | expert.as_dict()
        save_tensors(path, trained.tensors(), header)
        trained.partial.unlink(missing_ok=True)  # not before the whole is kept
        self._serve(key, load_tensors(path)[0], trained.seconds, trained.peak_bytes)
        return key

    def _serve(self, key: str, tensors: dict[str, Tensor], seconds: float, peak_bytes: int) -> None:
        self._served[key] = tensors
        self.seconds += seconds
        self.peak_bytes = max(self.peak_bytes, peak_bytes)

    def _path(self, key: str) -> Path:
        """Where a trained expert lies."""
        return self.folder / f"{key}.safetensors"

    def _lock(self, key: str) -> Path:
        """What is locked by whoever trains or loads it."""
        return self.folder / f"{key}.lock"

    def _partial(self, key: str) -> Path:
        """Where an expert in training is checkpointed."""
        return self.folder / f"{key}.partial"

    def _key(self, expert: Expert) -> str:
        return digest(
            {
                "version": VERSION,
                "dataset": self.real.spec.name,
                "checksum": self.real.checksum,
                "preprocessing": self.real.preprocessing.digest,
                **expert.as_dict(),
            }
        )
