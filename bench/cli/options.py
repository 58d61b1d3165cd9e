"""Options that several commands share, so that they agree in name and meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from bench import plugins
from bench.errors import InvalidValue, UnknownName
from bench.planning import Sweep
from bench.plugins import Group
from bench.recipes import Precision
from bench.specs import Budget
from bench.trials import TIERS, Tier

if TYPE_CHECKING:
    from bench.evaluation import Choice


def complete(group: Group) -> Callable[[str], list[str]]:
    """Shell completion over the names of a plug-in group."""

    def matching(incomplete: str) -> list[str]:
        return [name for name in plugins.names(group) if name.startswith(incomplete)]

    return matching


MethodOption = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        "-m",
        help="Method to run; repeat it or separate by commas. Default: the methods of the tier.",
        autocompletion=complete("methods"),
    ),
]
DatasetsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset",
        "-d",
        help="Dataset name, or `name=path` for your own. Default: the protocol's datasets.",
        autocompletion=complete("datasets"),
    ),
]
DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        "-d",
        help="Dataset name, or `name=path` for your own.",
        autocompletion=complete("datasets"),
    ),
]
NetworksOption = Annotated[
    list[str] | None,
    typer.Option(
        "--network",
        "-n",
        help="Student network; repeat it for several.",
        autocompletion=complete("networks"),
    ),
]
SeedsOption = Annotated[int | None, typer.Option("--seeds", min=1, help="How many repetitions.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 …")]
StoreOption = Annotated[
    Path, typer.Option("--store", help="Folder for records, artefacts and caches.")
]
DataRootOption = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        envvar="BENCH_DATA",
        help="Folder with real data; default: `$BENCH_DATA`, else `data/`.",
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option("--precision", help="Of students' training: fp32, bf16, or tf32 on CUDA."),
]
StrategyOption = Annotated[
    str,
    typer.Option(
        "--strategy",
        help="How students are trained: auto, reference, compiled, parallel, parallel-compiled or "
        "vectorised.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]


def names(given: list[str] | None) -> tuple[str, ...]:
    """Repeated and comma-separated values as one tuple, without repetitions."""
    parts = [part.strip() for value in given or () for part in value.split(",")]
    return tuple(dict.fromkeys(part for part in parts if part))


def known(kind: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Check names.

    Raises:
        UnknownName: one of ``given`` is not among ``allowed``.
    """
    choices = tuple(allowed)
    for name in given:
        if name not in choices:
            raise UnknownName(kind, name, choices)


def budgets(given: list[str] | None) -> tuple[Budget, ...]:
    """Budgets as the command line gives them."""
    return tuple(Budget.parse(text) for text in names(given))


def tier(given: str) -> Tier:
    """A tier's name, checked."""
    known("tier", [given], TIERS)
    return next(name for name in get_args(Tier) if name == given)


def precision(given: str) -> Precision:
    """A precision's name, checked."""
    known("precision", [given], get_args(Precision))
    return next(name for name in get_args(Precision) if name == given)


def strategy(given: str) -> Choice:
    """A strategy's name, checked; torch is not imported for the default."""
    if given == "auto":
        return "auto"
    from bench.evaluation import STRATEGIES

    known("strategy", [given], ("auto", *STRATEGIES))
    return next((name for name in STRATEGIES if name == given), "auto")


def changes(given: list[str] | None, methods: tuple[str, ...] = ()) -> dict[str, dict[str, str]]:
    """``method.parameter=value`` texts by method; the only one of ``methods`` need not be named.

    Raises:
        InvalidValue: a text of another form, without a method where there is more than one, or
            two values for one parameter.
        UnknownName: no such method.
    """
    found: dict[str, dict[str, str]] = {}
    for text in given or ():
        target, equals, value = text.partition("=")
        method, dot, parameter = target.rpartition(".")
        if not (equals and parameter and bool(dot) == bool(method)):
            raise InvalidValue(f"--set {text!r} is not of the form method.parameter=value.")
        if not dot and len(methods) != 1:
            example = f"{methods[0] if methods else 'method'}.{text}"
            raise InvalidValue(f"--set {text!r} names no method; put it before: {example}.")
        method = method or methods[0]
        known("method", [method], plugins.names("methods"))
        first = found.setdefault(method, {}).setdefault(parameter, value)
        if first != value:
            raise InvalidValue(
                f"--set gives {method}.{parameter} twice, {first} and {value}; give it once."
            )
    return found


def sweeps(given: list[str] | None, methods: tuple[str, ...]) -> tuple[Sweep, ...]:
    """``parameter=value,value`` texts, of one method or of all ``methods``.

    Raises:
        InvalidValue: a text of another form, or it names no method and there are none.
        UnknownName: no such method.
    """
    found = []
    for text in given or ():
        target, _, listed = text.partition("=")
        method, dot, parameter = target.rpartition(".")
        values = names([listed])
        if not (parameter and values) or (dot and not method):
            raise InvalidValue(
                f"--sweep {text!r} is not of the form parameter=value,value "
                f"or method.parameter=value,value."
            )
        if not (dot or methods):
            raise InvalidValue(f"--sweep {text!r} names no method; put it before: method.{text}.")
        swept = (method,) if dot else methods
        known("method", swept, plugins.names("methods"))
        found += [Sweep(method=name, parameter=parameter, values=values) for name in swept]
    return tuple(found)
