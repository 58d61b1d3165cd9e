"""``bench profile``."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import plugins
from bench.cli import options as shared
from bench.cli.options import DataRootOption, DeviceOption, JsonOption
from bench.errors import InvalidValue

if TYPE_CHECKING:
    from bench.profiling.measured import Setting
    from bench.profiling.profile import Cache
    from bench.profiling.records import Phase
    from bench.profiling.subject import Subject

PROTOCOL = "efficiency"


def profile(
    method: Annotated[
        list[str],
        typer.Option(
            "--method",
            "-m",
            help="Method to profile; repeat it or separate by commas.",
            autocompletion=shared.complete("methods"),
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "-d", help="Whose shapes; its images need not be here."),
    ] = None,
    budget: Annotated[str | None, typer.Option("--budget", "-b", help="Images per class.")] = None,
    tier: Annotated[
        str | None,
        typer.Option("--tier", "-t", help="Whose presets. Default: quick; paper with --forecast."),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a parameter: `matching_steps=10`. Repeat for several."),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option("--sweep", help="Values of a parameter, or of `budget`: `segment=50,100`."),
    ] = None,
    forecast: Annotated[
        list[str] | None,
        typer.Option("--forecast", help="Run nothing here; forecast for these devices instead."),
    ] = None,
    largest: Annotated[
        str | None,
        typer.Option(
            "--largest", help="Search the largest value that fits: `matching_steps=200` at most."
        ),
    ] = None,
    phase: Annotated[
        list[str] | None,
        typer.Option(
            "--phase", help="prepare, distill, evaluate. Default: all; distill in a sweep."
        ),
    ] = None,
    device: DeviceOption = "auto",
    emulate: Annotated[
        str | None,
        typer.Option("--emulate", help="Cap the memory of the CUDA device to that of this one."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw a sweep: a .png, .svg or .pdf file.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option("--store", help="Append the figures to a folder's records.")
    ] = None,
    data_root: DataRootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Peak memory and time of a method's phases: measured here, or forecast for other devices.

    A forecast runs the method's own code on tensors without data: it needs no GPU, no dataset and
    no expert.

    Example: `bench profile --method tesla --sweep matching_steps=1,10 --forecast rtx4090`
    """
    from bench.cli import profile_table
    from bench.profiling import capacity, catalogue, records
    from bench.profiling import plot as pictures
    from bench.profiling import profile as profiling

    devices = shared.names(forecast)
    shared.known("device", [*devices, *filter(None, [emulate])], catalogue.devices())
    _check(bool(devices), device, emulate, largest)
    bound = _bound(largest)
    phases = _phases(phase, sweep)
    subjects = _subjects(
        shared.names(method),
        dataset=dataset,
        budget=budget,
        tier=tier or ("paper" if devices else "quick"),
        changes=change,
        data_root=data_root,
    )
    key, swept = _swept(subjects, sweep)
    if plot is not None:
        if key is None:
            raise InvalidValue("--plot draws a sweep; add --sweep parameter=value,value.")
        pictures.check(plot, [subject.value(key) for subject in swept])
    known = profiling.Cache()
    if devices:
        found = profiling.forecast_rows(swept, phases, devices, known, _say)
    else:
        found = profiling.measured_rows(swept, phases, _setting(device, emulate), _say)
    rows = list(found)
    limits = (
        [_largest(subject, *bound, name, known) for subject in subjects for name in devices]
        if bound
        else []
    )
    if store is not None:
        for row in rows:
            records.append(store, row)
    if plot is not None and key is not None:
        allowances = subjects[0].rules.allowances
        room = {name: capacity.room_bytes(catalogue.device(name), allowances) for name in devices}
        pictures.draw(plot, rows, key, room)
        _say(f"drawn to {plot}")
    if as_json:
        typer.echo(json.dumps({"rows": [row.as_dict() for row in rows], "largest": limits}))
        return
    profile_table.show(rows, key)
    if devices:
        profile_table.explain(subjects[0].rules.allowances)
    for limit in limits:
        typer.echo(profile_table.sentence(limit))


def _check(ahead: bool, device: str, emulate: str | None, largest: str | None) -> None:
    """Options that the other kind of figure has no use for are refused, not ignored.

    Raises:
        InvalidValue: one of them is given.
    """
    if ahead and (emulate or device != "auto"):
        given = "--emulate" if emulate else "--device"
        raise InvalidValue(f"{given} is for measuring, and --forecast runs nothing: give one.")
    if largest and not ahead:
        raise InvalidValue("--largest searches forecasts; add --forecast and a device.")


def _phases(given: list[str] | None, sweep: str | None) -> tuple[Phase, ...]:
    from bench.profiling.records import PHASES

    asked = shared.names(given)
    shared.known("phase", asked, PHASES)
    default = ("distill",) if sweep else PHASES
    return tuple(name for name in PHASES if name in (asked or default))


def _subjects(
    methods: Sequence[str],
    *,
    dataset: str | None,
    budget: str | None,
    tier: str,
    changes: list[str] | None,
    data_root: Path | None,
) -> list[Subject]:
    from bench.profiling.rules import load_rules
    from bench.profiling.subject import Subject
    from bench.specs import Budget

    shared.known("method", methods, plugins.names("methods"))
    rules = load_rules(PROTOCOL, shared.tier(tier))
    return [
        Subject.of(
            rules,
            name,
            dataset=dataset,
            budget=None if budget is None else Budget.parse(budget),
            changes=_changes(changes, name),
            data_root=data_root,
        )
        for name in methods
    ]


def _changes(given: list[str] | None, method: str) -> dict[str, str]:
    """What is changed for one method; ``parameter=value`` means every method."""
    full = [text if "." in text.partition("=")[0] else f"{method}.{text}" for text in given or ()]
    return shared.changes(full).get(method, {})


def _swept(subjects: Sequence[Subject], sweep: str | None) -> tuple[str | None, list[Subject]]:
    """The parameter that is swept, if any, and every subject at each of its values."""
    if sweep is None:
        return None, list(subjects)
    key, _, listed = sweep.partition("=")
    values = shared.names([listed])
    if not (key and values):
        raise InvalidValue(f"--sweep {sweep!r} is not of the form parameter=value,value.")
    return key, [subject.at(key, value) for subject in subjects for value in values]


def _setting(device: str, emulate: str | None) -> Setting:
    from bench.profiling.measured import Setting

    asked = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(asked) if asked.isdecimal() and int(asked) else os.cpu_count() or 1
    return Setting(device=device, emulate=emulate, threads=threads)


def _bound(asked: str | None) -> tuple[str, int] | None:
    """The parameter of which the largest value is searched, and where the search ends.

    Raises:
        InvalidValue: a text of another form.
    """
    if asked is None:
        return None
    key, _, bound = asked.partition("=")
    if not (key and bound.isdecimal() and int(bound) >= 1):
        raise InvalidValue(f"--largest {asked!r} is not of the form parameter=bound.")
    return key, int(bound)


def _largest(subject: Subject, key: str, bound: int, device: str, known: Cache) -> dict[str, Any]:
    """The largest value of a parameter that fits on a device."""
    from bench.profiling import catalogue
    from bench.profiling.profile import largest_that_fits

    _say(f"largest {key} of {subject.method} on {device}")
    found = largest_that_fits(subject, key, bound, catalogue.device(device), known)
    return {
        "method": subject.method,
        "device": device,
        "parameter": key,
        "bound": bound,
        "largest": found,
    }


def _say(text: str) -> None:
    typer.echo(text, err=True)
