"""One phase of one method, stepped on command: what ``before_after`` runs in each checkout.

``python stepping.py METHOD PHASE DATASET`` reads lines and answers each with a line of JSON:
``time N`` for the processor time of a step, ``count N`` for its operators, ``profile N`` for its
shares by kind, each the mean over N cycles of steps whose work repeats. It uses nothing of a
checkout but its ``bench``.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench import networks
from bench.augment.differentiable import DifferentiableAugmentation, Draw
from bench.environment import use_full_precision
from bench.networks.gan import Discriminator, ImageGenerator
from bench.networks.network import Network
from bench.profiling.phases import Steps, open_phase
from bench.profiling.rules import load_rules
from bench.profiling.subject import Subject
from bench.trajectories import Descent

SHOWN = {"digits": 4096}
"""Real images of an epoch; of other datasets 512."""

KINDS: dict[str, list[tuple[Any, str]]] = {
    "networks built": [(networks, "build")],
    "augmentation": [(DifferentiableAugmentation, "draw"), (Draw, "apply")],
    "forward": [(Network, "embed"), (ImageGenerator, "forward"), (Discriminator, "forward")],
    "backward": [(torch.autograd, "grad"), (torch.Tensor, "backward")],
    "optimiser": [(torch.optim.SGD, "step"), (torch.optim.Adam, "step"), (Descent, "step")],
}
"""Functions by what they are for; the rest of a step is ``other``."""


class Operators(TorchDispatchMode):
    """Counts what reaches a device's kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


class Shares:
    """Processor time by kind; what one kind calls of another counts for the other."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._kind, self._since = "other", time.process_time()

    @contextmanager
    def within(self, kind: str) -> Iterator[None]:
        """Time inside counts for ``kind``."""
        before = self._kind
        self._switch(kind)
        try:
            yield
        finally:
            self._switch(before)

    def _switch(self, kind: str) -> None:
        now = time.process_time()
        self.seconds[self._kind] += now - self._since
        self._kind, self._since = kind, now

    def watch(self, owner: Any, name: str, kind: str) -> None:
        """Let every call of ``owner.name`` count for ``kind`` from now on."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.within(kind):
                return function(*args, **kwargs)

        setattr(owner, name, timed)


def answer(steps: Steps, command: str, cycles: int) -> Any:
    """Do what a line asks for."""
    times = cycles * steps.cycle
    if command == "count":
        with Operators() as operators:
            run(steps, times)
        return operators.count / times
    if command == "profile":
        shares = Shares()
        for kind, functions in KINDS.items():
            for owner, name in functions:
                shares.watch(owner, name, kind)
        with shares.within("other"):
            run(steps, times)
        total = sum(shares.seconds.values())
        return {kind: shares.seconds[kind] / total for kind in (*KINDS, "other")}
    start = time.process_time()
    run(steps, times)
    return (time.process_time() - start) / times


def run(steps: Steps, times: int) -> None:
    """Take so many steps."""
    for _ in range(times):
        steps.run()


def main(method: str, phase: Any, dataset: str) -> None:
    """Open the phase, take a step to warm up, and answer until nothing more is asked."""
    torch.set_num_threads(1)
    use_full_precision()
    subject = Subject.of(load_rules("efficiency", "quick"), method, dataset=dataset)
    steps = open_phase(phase, subject, torch.device("cpu"), SHOWN.get(dataset, 512))
    run(steps, 1)
    for line in sys.stdin:
        command, cycles = line.split()
        print(json.dumps(answer(steps, command, int(cycles))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
