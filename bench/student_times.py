"""How long a student takes that no record times: steps are measured, arithmetic is counted.

A step of a small network takes most of its time to launch operators, which no count of operations
shows. So a step on two images is timed. What more images add is counted in operations; where that
is little work, a larger step says how much longer than counted it takes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

import torch

from bench import augment, networks
from bench.data import SyntheticSet
from bench.errors import BenchError, NotApplicable
from bench.measure import synchronize
from bench.preprocessing import Preprocessing
from bench.randomness import generator
from bench.recipes import Recipe
from bench.specs import DatasetSpec
from bench.training import Training
from bench.trials import Trial

MOST_TIMED = 12
"""Architectures of a dataset of which a step is timed; the rest counts as they do in the middle."""

FEWEST_IMAGES = 2
"""Of a step that is timed: as few as batch normalisation takes."""

MOST_IMAGES = 64
"""Of the larger step that is timed."""

SAMPLE_FLOPS = 1e9
"""Operations that the larger step may take."""

REPEATS = 3
"""Steps that are timed, after one that warms up."""


@dataclass(frozen=True)
class Pace:
    """What a student's steps take.

    Attributes:
        launch_seconds: of a step, however few images it has.
        slowdown: how many times as long as counted each image takes, at least 1.
    """

    launch_seconds: float
    slowdown: float


class StudentTimes:
    """Seconds of students on one device.

    Args:
        specs: the datasets by name.
        device: where students are trained.
        flops_per_second: what convolutions reach there.
    """

    def __init__(
        self, specs: Mapping[str, DatasetSpec], device: torch.device, flops_per_second: float
    ) -> None:
        self._specs, self._device, self._rate = specs, device, flops_per_second
        self._paces: dict[str, dict[str, Pace]] = {}
        self._flops: dict[tuple[str, str], float] = {}

    def __call__(self, trial: Trial) -> float | None:
        """Seconds to train a student; ``None`` where it cannot be said before it is done."""
        dataset, budget = trial.distillation.dataset, trial.budget
        if budget.kind == "full":
            return None
        images = len(trial.sources) * budget.count * self._specs[dataset].num_classes
        steps = math.ceil(images / trial.recipe.batch)
        try:
            pace = self._pace(trial.architecture, dataset, trial.recipe)
            image = pace.slowdown * self._flops_of(trial.architecture, dataset) / self._rate
        except (BenchError, NotApplicable, RuntimeError):  # it is recorded when it is trained
            return None
        return trial.recipe.epochs * (steps * pace.launch_seconds + images * image)

    def _pace(self, network: str, dataset: str, recipe: Recipe) -> Pace:
        """Measured, or that of the other students of the dataset if those are many."""
        known = self._paces.setdefault(dataset, {})
        if network in known:
            return known[network]
        if len(known) >= MOST_TIMED:
            return Pace(
                median(pace.launch_seconds for pace in known.values()),
                median(pace.slowdown for pace in known.values()),
            )
        flops, spec = self._flops_of(network, dataset), self._specs[dataset]
        launch = time_step(network, spec, recipe, self._device, FEWEST_IMAGES)
        images, slowdown = min(MOST_IMAGES, int(SAMPLE_FLOPS / flops)), 1.0
        if images >= 2 * FEWEST_IMAGES:
            larger = time_step(network, spec, recipe, self._device, images)
            slowdown = (larger - launch) / (images - FEWEST_IMAGES) / (flops / self._rate)
        known[network] = Pace(launch, max(1.0, slowdown))
        return known[network]

    def _flops_of(self, network: str, dataset: str) -> float:
        """Operations of one image in a step: those of a forward, and twice that backward."""
        if (network, dataset) not in self._flops:
            forward = networks.forward_flops(network, self._specs[dataset])
            self._flops[network, dataset] = 3 * forward
        return self._flops[network, dataset]


def time_step(
    network: str, spec: DatasetSpec, recipe: Recipe, device: torch.device, images: int
) -> float:
    """Seconds of a student's step on images of nothing, the fastest of some.

    Args:
        network: the student.
        spec: the dataset whose shapes count.
        recipe: what is done in a step; a teacher beside the labels is left out.
        device: where it runs.
        images: how many a step has.
    """
    blank = SyntheticSet(
        images=torch.zeros(images, *spec.shape, device=device),
        labels=torch.zeros(images, spec.num_classes, device=device),
    )
    plain = replace(recipe, batch=images, distillation=None, labels="own", learned_lr=False)
    training = Training(
        network=networks.build(network, spec, generator("step", "weights"), device=device),
        source=blank,
        recipe=plain,
        augment=augment.build(plain.augmentation, spec, Preprocessing.normalize(spec)),
        shuffle=generator("step", "shuffle"),
        augmenting=generator("step", "augment"),
    )
    times = []
    for _ in range(1 + REPEATS):
        synchronize(device)
        start = time.perf_counter()
        training.run_epoch()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])
