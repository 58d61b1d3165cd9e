"""The expert buffer service: networks trained on real data once, and shared by every method.

A *trajectory* is one network's parameters at initialisation and after every epoch (MTT, TESLA,
DATM); a *teacher* is its last snapshot (APM, core-sets). Both are read from one file, addressed by
everything that decided its content, memory-mapped, and refused when a byte has changed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench import checkpoints, networks
from bench.data import RealSet
from bench.errors import BadFile, InUse
from bench.evaluation import start_training
from bench.files import digest, exclusive, load_tensors, save_tensors
from bench.measure import LiveStorage, Peak, synchronize
from bench.networks import Network
from bench.recipes import Recipe
from bench.sharpness import Sharpness
from bench.training import Training, check_finite

log = logging.getLogger(__name__)

VERSION = 1
"""Raised when training an expert gives other numbers; part of every address."""

ExpertReport = Callable[[str, int, int], None]
"""Called as ``report(what, done, total)``."""


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
        seconds: training time of every expert served so far, whether trained now or before.
        waited_seconds: time that this process has spent on training and loading them.
        peak_bytes: the largest peak of training one of them.
    """

    folder: Path
    real: RealSet
    report: ExpertReport | None = None
    checkpoint_seconds: float = 30.0
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
        others: list[Expert] = []
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
            flat = tensors["trajectory"][-1].to(device)
            for name, value in networks.unflatten(teacher, flat).items():
                teacher.get_parameter(name).copy_(value)
            for name, buffer in teacher.named_buffers():
                buffer.copy_(tensors[f"buffer.{name}"])
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
        path = self.folder / f"{key}.safetensors"
        # another worker may be training it now
        with exclusive(self.folder / f"{key}.lock", wait=wait):
            return self._locked(key, path, expert)

    def _locked(self, key: str, path: Path, expert: Expert) -> dict[str, Tensor]:
        if path.exists():
            try:
                tensors, header = load_tensors(path)
                if header.get("key") != key:
                    raise BadFile(f"{path} holds another expert than its name says.")
                self._partial(key).unlink(missing_ok=True)  # a kill may have come before it went
                return self._serve(key, tensors, header["seconds"], header["peak_bytes"])
            except BadFile as error:
                log.warning("%s It is trained again.", error)
        tensors, seconds, peak_bytes = self._train(key, expert)
        header = {"key": key, "seconds": seconds, "peak_bytes": peak_bytes}
        save_tensors(path, tensors, header | expert.as_dict())
        self._partial(key).unlink(missing_ok=True)  # not before the whole is kept
        return self._serve(key, load_tensors(path)[0], seconds, peak_bytes)

    def _serve(
        self, key: str, tensors: dict[str, Tensor], seconds: float, peak_bytes: int
    ) -> dict[str, Tensor]:
        self._served[key] = tensors
        self.seconds += seconds
        self.peak_bytes = max(self.peak_bytes, peak_bytes)
        return tensors

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

    def _train(self, key: str, expert: Expert) -> tuple[dict[str, Tensor], float, int]:
        """Train one expert, resuming from its last finished epoch if it was interrupted."""
        scope = ("expert", self.real.spec.name, expert.network, expert.index)
        training = start_training(self.real, expert.network, expert.recipe, self.real, scope)
        training.sharpness = expert.sharpness
        buffer = _Buffer(training=training, snapshots=[])
        partial = self._partial(key)
        buffer.resume(partial)
        peak = Peak(self.real.device, buffer.peak_bytes)
        with LiveStorage.paused():
            while training.epoch < expert.recipe.epochs:
                buffer.run_epoch(peak)
                if self.report:
                    self.report(f"expert {expert.index}", training.epoch, expert.recipe.epochs)
                buffer.save(partial, self.checkpoint_seconds)
        buffers = training.network.named_buffers()
        tensors = {f"buffer.{name}": value for name, value in buffers}
        tensors["trajectory"] = torch.stack(buffer.snapshots)
        return tensors, buffer.seconds, buffer.peak_bytes


@dataclass(kw_only=True, eq=False)
class _Buffer:
    """An expert in training with the snapshots taken so far."""

    training: Training
    snapshots: list[Tensor]
    seconds: float = 0.0
    saved_seconds: float = 0.0
    peak_bytes: int = 0

    def run_epoch(self, peak: Peak) -> None:
        start = time.perf_counter()
        if not self.snapshots:
            self.snapshots.append(self._snapshot())
        with peak.sample():
            loss = self.training.run_epoch()
        check_finite(loss, f"an expert at epoch {self.training.epoch}")
        self.snapshots.append(self._snapshot())
        synchronize(loss.device)
        self.seconds += time.perf_counter() - start
        self.peak_bytes = peak.bytes

    def _snapshot(self) -> Tensor:
        # flatten copies, also on the CPU: snapshots that alias the network would all be the last
        return networks.flatten(self.training.network).cpu()

    def save(self, path: Path, every_seconds: float) -> None:
        if self.seconds - self.saved_seconds < every_seconds:
            return
        self.saved_seconds = self.seconds
        own = {"seconds": self.seconds, "peak_bytes": self.peak_bytes, "snapshots": self.snapshots}
        checkpoints.save(path, {"training": checkpoints.capture(self.training), "own": own})

    def resume(self, path: Path) -> None:
        if not path.exists():
            return
        try:
            saved = checkpoints.load(path)
            checkpoints.restore(self.training, saved["training"])
        except BadFile as error:
            log.warning("%s The expert starts again.", error)
            return
        for name, value in saved["own"].items():
            setattr(self, name, value)
        self.saved_seconds = self.seconds
