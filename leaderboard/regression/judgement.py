"""Is what was measured now still what the baseline says?

Accuracy
    is compared seed by seed. A seed draws the same numbers everywhere, so on one machine the
    difference is exactly zero, and on another only the order of sums differs. Two one-sided t-tests
    on these differences (TOST) must show at 5 % that their mean lies within :data:`MARGIN`; the
    burden of proof is on "unchanged". The baseline states the power of that, from differences that
    were measured with other kernels.
Memory
    on the CPU is the peak of live tensor storage, which is deterministic, so it must be the same
    byte for byte. Another release of torch may allocate otherwise: there a change of up to
    :data:`OTHER_TORCH` passes.
Time
    is relative to a calibration kernel that is timed after every trial. It fails when it grew by
    more than :data:`SLOWER` and by more than three standard errors of both measurements besides.
    Becoming faster never fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, hypot, log, sqrt
from statistics import fmean, median, stdev

from bench.profiling.records import PHASES
from bench.statistics import ALPHA, equivalence, equivalence_power
from leaderboard.regression.baseline import Baseline
from leaderboard.regression.measurement import Measured

MARGIN = 0.01
"""Mean change of accuracy that counts as none: one point."""

OTHER_TORCH = 0.01
SLOWER = 1.5


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One quantity of one cell, judged.

    Attributes:
        cell: the cell's name.
        quantity: ``accuracy``, ``memory, <phase>`` or ``time``; ``settings`` where nothing can be
            compared.
        baseline: its value in the baseline; ``None`` where there is none.
        now: its value now; ``None`` where nothing was measured.
        change: relative for memory and time, absolute for accuracy.
        passed: whether it may stand.
        reason: why it passed or failed.
    """

    cell: str
    quantity: str
    baseline: float | None
    now: float | None
    change: float | None
    passed: bool
    reason: str


def judge(baseline: Baseline, measured: Iterable[Measured], torch: str) -> list[Verdict]:
    """Compare every cell of the baseline, and every measured one, in that order.

    Args:
        baseline: what a maintainer accepted.
        measured: what the cells gave now.
        torch: the version that they ran with.
    """
    now = {cell.cell: cell for cell in measured}
    before = {cell.cell: cell for cell in baseline.cells}
    same_torch = baseline.torch == torch
    verdicts: list[Verdict] = []
    for name in dict.fromkeys([*before, *now]):
        verdicts += _judge_cell(name, before.get(name), now.get(name), same_torch)
    return verdicts


def passes(verdicts: Sequence[Verdict]) -> bool:
    """Whether something was judged, and nothing failed."""
    return bool(verdicts) and all(verdict.passed for verdict in verdicts)


def _judge_cell(
    name: str, before: Measured | None, now: Measured | None, same_torch: bool
) -> list[Verdict]:
    if before is None:
        return [_unfit(name, "not in the baseline; renew it with `bench check --calibrate`")]
    if now is None or not now.trials:
        why = f" ({now.mishaps[0]})" if now and now.mishaps else ""
        return [_unfit(name, f"nothing was measured{why}")]
    if now.mishaps:
        return [_unfit(name, f"{len(now.mishaps)} trials went wrong ({now.mishaps[0]})")]
    if now.trials != before.trials:
        return [
            _unfit(
                name,
                "protocol, method, parameters, data or seeds are not the baseline's; "
                "renew it with `bench check --calibrate`",
            )
        ]
    memory = [_memory(before, now, phase, same_torch) for phase in PHASES]
    return [_accuracy(before, now), *memory, _time(before, now)]


def _unfit(cell: str, reason: str) -> Verdict:
    return Verdict(
        cell=cell,
        quantity="settings",
        baseline=None,
        now=None,
        change=None,
        passed=False,
        reason=reason,
    )


def _accuracy(before: Measured, now: Measured) -> Verdict:
    pairs = zip(now.accuracies, before.accuracies, strict=True)
    differences = [new - old for new, old in pairs]
    p = equivalence(differences, MARGIN)
    passed = p is not None and p < ALPHA
    shown = "shown" if passed else "not shown"
    return Verdict(
        cell=now.cell,
        quantity="accuracy",
        baseline=fmean(before.accuracies),
        now=fmean(now.accuracies),
        change=fmean(differences),
        passed=passed,
        reason=f"{shown} to be within ± {100 * MARGIN:g} points "
        f"(n {len(differences)}, {'one value' if p is None else f'p {p:.2g}'})",
    )


def power(baseline: Baseline) -> float | None:
    """The chance that an unchanged cell passes on another machine, from the noise on record.

    The largest noise of any cell stands for all: a cell without any was lucky, not immune.
    """
    noises = [cell.noise for cell in baseline.cells if cell.noise is not None]
    least = min((len(cell.accuracies) for cell in baseline.cells), default=0)
    return equivalence_power(max(noises), least, MARGIN) if noises and least > 1 else None


def _memory(before: Measured, now: Measured, phase: str, same_torch: bool) -> Verdict:
    old, new = before.peak_bytes.get(phase), now.peak_bytes.get(phase)
    allowed = 0.0 if same_torch else OTHER_TORCH
    change = _growth(old, new)
    return Verdict(
        cell=now.cell,
        quantity=f"memory, {phase}",
        baseline=old,
        now=new,
        change=change,
        passed=old == new or (change is not None and abs(change) <= allowed),
        reason="must be equal" if same_torch else f"± {100 * allowed:g} %: another torch",
    )


def _growth(old: int | None, new: int | None) -> float | None:
    if old is None or new is None:
        return None
    return 0.0 if old == new else new / old - 1 if old else None


def _time(before: Measured, now: Measured) -> Verdict:
    old, new = median(before.times), median(now.times)
    noise = exp(3 * hypot(_error(before.times), _error(now.times)))
    limit = SLOWER * noise
    return Verdict(
        cell=now.cell,
        quantity="time",
        baseline=old,
        now=new,
        change=new / old - 1,
        passed=new / old <= limit,
        reason=f"up to × {SLOWER:g}, × {noise:.2f} for noise",
    )


def _error(times: Sequence[float]) -> float:
    """Standard error of the median of log times (that of the mean × 1.25, for normal values)."""
    if len(times) < 2:
        return 0.0
    return 1.25 * stdev(map(log, times)) / sqrt(len(times))
