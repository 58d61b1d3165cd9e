"""Forecasts: a phase run on tensors without data, its memory and its work counted.

Nothing is trained, read or computed, and no GPU is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.errors import InvalidValue, NotApplicable
from bench.profiling.ledger import BLOCK_BYTES, DEVICE, Cost, Ledger
from bench.profiling.looks import CLOSE, Look
from bench.profiling.phases import Steps, open_phase
from bench.profiling.records import Phase
from bench.profiling.rounds import Rounds
from bench.profiling.subject import Subject

Work = Mapping[Cost, float]
"""How many operators of each cost a step runs, on average."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a phase will take on any CUDA device.

    Attributes:
        peak_bytes: what ``torch.cuda.max_memory_allocated`` would say, but for the workspaces that
            libraries borrow inside an operator.
        work: of one step.
        steps: how many the preset has.
        walks: whether a step asked how many real images there are.
    """

    peak_bytes: int
    work: Work
    steps: int
    walks: bool

    @property
    def flops(self) -> float:
        """Floating-point operations of one step, of matrix products and convolutions."""
        return sum(cost.flops * count for cost, count in self.work.items())

    @property
    def bytes_moved(self) -> float:
        """Bytes that one step's operators read and write."""
        return sum(cost.bytes_moved * count for cost, count in self.work.items())


def forecast(
    subject: Subject, phase: Phase, *, look: Look = CLOSE, block_bytes: int = BLOCK_BYTES
) -> Forecast:
    """Forecast one phase.

    Where a step repeats equal work very often (epochs of a student, batches of all real images),
    it is run at two smaller lengths, and its work is extended along the straight line through
    both. Its peak is that of the longer one: repetition allocates nothing new. Loops over segments,
    batches and classes are cut short (:mod:`bench.profiling.rounds`).

    Args:
        subject: what is profiled.
        phase: which phase.
        look: how much of it is run.
        block_bytes: what allocations are rounded up to.

    Raises:
        NotApplicable: the method does not apply here, or asks for values that no forecast has.
    """
    excerpt, count = look.excerpt or subject.rules.excerpt, subject.train_count
    if phase != "distill":
        return _run(subject, phase, excerpt, look, block_bytes)
    for key, short, long, keeps in look.all_lengths(subject.rules):
        full = int(subject.parameters.get(key, 0))
        if full > long and _takes(subject, key, short):
            less, more = (
                forecast(subject.at(key, length), phase, look=look, block_bytes=block_bytes)
                for length in (short, long)
            )
            return _extend(less, more, (full - short) / (long - short), keeps=keeps)
    found = _run(subject, phase, excerpt, look, block_bytes)
    if not found.walks or count <= excerpt:
        return found
    shorter = _run(subject, phase, excerpt // 2, look, block_bytes)
    return _extend(shorter, found, 2 * count / excerpt - 1)


def _takes(subject: Subject, key: str, value: int) -> bool:
    """Whether the method takes this value of a parameter: some bound each other."""
    try:
        subject.at(key, value)
    except InvalidValue:
        return False
    return True


def _extend(less: Forecast, more: Forecast, reach: float, *, keeps: bool = False) -> Forecast:
    """The forecast on the line through two, ``reach`` times as far from ``less`` as ``more`` is.

    Augmentations are drawn, so a single operator may seem to become rarer with length, even to
    less than none; sums over operators are right on average.

    Args:
        less: the shorter.
        more: the longer.
        reach: how far.
        keeps: whether what each length allocates stays, so that the peak lies on the line too.
    """
    work = {
        cost: (1 - reach) * less.work.get(cost, 0) + reach * more.work.get(cost, 0)
        for cost in {*less.work, *more.work}
    }
    grown = (reach - 1) * (more.peak_bytes - less.peak_bytes) if keeps else 0
    return replace(more, work=work, peak_bytes=more.peak_bytes + max(0, round(grown)))


def _run(subject: Subject, phase: Phase, shown: int, look: Look, block_bytes: int) -> Forecast:
    """A forecast with ``shown`` real images."""
    ledger = Ledger(block_bytes)
    rounds = Rounds(ledger, look.rounds)
    try:
        with ledger, rounds:
            steps = open_phase(phase, subject, DEVICE, shown, rounds)
            if phase != "prepare":  # what comes before the first step is this phase's own
                ledger.forget_peak()
            repeats = phase == "evaluate" or (phase == "prepare" and steps.count > 1)
            warms = look.warms or repeats
            if warms:
                _go(steps, subject.rules.warm_up)
            else:
                steps.real.images(slice(0))  # the training images come to the device
            before = ledger.live_bytes
            ledger.work.clear()
            _go(steps, steps.cycle)
            kept = 0 if warms or steps.count == 1 else max(0, ledger.live_bytes - before)
    except (NotImplementedError, RuntimeError) as error:
        if "meta" not in str(error):
            raise
        raise NotApplicable(
            f"the {phase} phase of {subject.method} asks for the values of tensors, which no "
            f"forecast has; measure it"
        ) from error
    once = 1 / (steps.cycle * steps.share)
    return Forecast(
        peak_bytes=ledger.peak_bytes + kept,
        work={cost: once * count for cost, count in ledger.work.items()},
        steps=steps.count,
        walks=bool(steps.real.asked),
    )


def _go(steps: Steps, times: int) -> None:
    for _ in range(times):
        steps.run()
