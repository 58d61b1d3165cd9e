"""From a subject to its profile records: measured on the device at hand, or forecast for others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import Any

from bench import cards, environment
from bench.errors import NotApplicable
from bench.planning import rules_hash
from bench.profiling import capacity, catalogue, roofline
from bench.profiling.forecast import Forecast, forecast
from bench.profiling.measured import Setting, measure
from bench.profiling.records import Phase, ProfileRecord
from bench.profiling.rules import Allowances
from bench.profiling.subject import Subject

Report = Callable[[str], None]
"""Called with what is being done."""


def measured_rows(
    subjects: Sequence[Subject], phases: Sequence[Phase], setting: Setting, report: Report
) -> Iterator[ProfileRecord]:
    """Measure every phase of every subject; work is counted beside it."""
    for subject in subjects:
        for phase in phases:
            report(f"{phase} of {subject.method}, measured")
            found = measure(subject, phase, setting)
            counted = _forecast_or_none(subject, phase)
            seconds = median(found.seconds) if found.seconds else None
            yield _record(
                subject,
                phase,
                kind="measured",
                device=found.environment.device,
                emulated=setting.emulate,
                status=found.status,
                reason=found.reason,
                peak_bytes=found.peak_bytes,
                reserved_bytes=found.reserved_bytes,
                host_bytes=found.host_bytes,
                steps=found.steps,
                seconds_per_step=seconds,
                seconds=found.seconds,
                seconds_total=None if seconds is None else seconds * (found.steps or 0),
                flops=counted and counted.flops,
                bytes_moved=counted and counted.bytes_moved,
                fits=None if found.status == "skipped" else found.status == "ok",
                environment=found.environment,
                clocks=found.clocks,
            )


def forecast_rows(
    subjects: Sequence[Subject],
    phases: Sequence[Phase],
    devices: Sequence[str],
    known: Cache,
    report: Report,
) -> Iterator[ProfileRecord]:
    """Forecast every phase of every subject for every device of ``devices``.

    ``known`` takes up the forecast peaks, for searches that follow.
    """
    at_hand = environment.choose_device("auto")
    here = environment.describe(at_hand)
    allowances = roofline.calibrate(subjects[0].rules.allowances, at_hand)
    for subject in subjects:
        for phase in phases:
            report(f"{phase} of {subject.method}, forecast")
            try:
                found = forecast(subject, phase)
                known.note(subject, phase, found)
            except NotApplicable as error:
                for name in devices:
                    skipped = {"status": "skipped", "reason": str(error)}
                    yield _record(
                        subject, phase, kind="forecast", device=name, environment=here, **skipped
                    )
                continue
            for name in devices:
                device = catalogue.device(name)
                figures = _figures(subject, phase, found, device, allowances, known)
                yield _record(
                    subject, phase, kind="forecast", device=name, environment=here, **figures
                )


def largest_that_fits(
    subject: Subject, key: str, high: int, device: catalogue.Device, known: Cache
) -> int | None:
    """The largest value of ``key`` up to ``high`` at which distilling fits on ``device``.

    A search over forecasts, none of them extrapolated in ``key``.

    Args:
        subject: what is profiled.
        key: a parameter that is a whole number, or ``budget``.
        high: where the search ends.
        device: where it should fit.
        known: forecasts made so far.
    """
    room = capacity.room_bytes(device, subject.rules.allowances)
    return capacity.largest(lambda value: known.peak_bytes(subject.at(key, value)), room, 1, high)


class Cache:
    """Peaks of distill phases that have been forecast: devices share them."""

    def __init__(self) -> None:
        self._peaks: dict[str, int] = {}

    def note(self, subject: Subject, phase: Phase, found: Forecast) -> None:
        """Keep a forecast that has been made anyhow."""
        if phase == "distill":
            self._peaks[_key(subject)] = found.peak_bytes

    def peak_bytes(self, subject: Subject) -> int:
        """The forecast peak of a distill step."""
        if _key(subject) not in self._peaks:
            self.note(subject, "distill", forecast(subject, "distill"))
        return self._peaks[_key(subject)]


def _key(subject: Subject) -> str:
    return repr((subject.method, subject.budget, sorted(subject.parameters.items())))


def _figures(
    subject: Subject,
    phase: Phase,
    found: Forecast,
    device: catalogue.Device,
    allowances: Allowances,
    known: Cache,
) -> dict[str, Any]:
    seconds = roofline.expected(device, allowances).seconds(found.work)
    fits = capacity.fits(found.peak_bytes, device, allowances)
    return {
        "peak_bytes": found.peak_bytes,
        "steps": found.steps,
        "seconds_per_step": seconds,
        "seconds_band": (seconds / allowances.band, seconds * allowances.band),
        "seconds_total": seconds * found.steps,
        "flops": found.flops,
        "bytes_moved": found.bytes_moved,
        "fits": fits,
        "remedy": None if fits or phase != "distill" else _remedy(subject, device, known),
    }


def _remedy(subject: Subject, device: catalogue.Device, known: Cache) -> str | None:
    """Another value of a parameter with which the method fits, at the same result."""
    rules = subject.rules

    def holds(key: str, value: int | str) -> bool:
        peak = known.peak_bytes(subject.at(key, value))
        return capacity.fits(peak, device, rules.allowances)

    for key, value, other in rules.alternatives:
        if subject.parameters.get(key) == value and holds(key, other):
            return f"{key}={other}"
    for key in rules.segments:
        if key in subject.parameters:
            start = int(subject.parameters[key])
            found = capacity.halved_until(partial(holds, key), start)
            return None if found is None else f"{key}={found}"
    return None


def _forecast_or_none(subject: Subject, phase: Phase) -> Forecast | None:
    try:
        return forecast(subject, phase)
    except NotApplicable:
        return None


def _record(subject: Subject, phase: Phase, **figures: Any) -> ProfileRecord:
    rules = subject.rules
    return ProfileRecord(
        protocol=rules.name,
        version=rules.version,
        protocol_hash=rules_hash(rules),
        tier=rules.tier,
        method=subject.method,
        method_version=cards.card(subject.method).version,
        parameters=subject.parameters,
        dataset=subject.spec.name,
        budget=subject.budget,
        network=subject.network,
        phase=phase,
        time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **figures,
    )
