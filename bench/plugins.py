"""Plug-ins over entry points: ours register exactly as a stranger's package would.

Groups: ``bench.methods``, ``bench.protocols``, ``bench.profiles``, ``bench.datasets``,
``bench.networks`` and ``bench.commands``. Listing names imports nothing; loading one imports that
one.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from bench.errors import ContractError, UnknownName

Group = Literal["methods", "protocols", "profiles", "datasets", "networks", "commands"]


@cache
def _registered(group: Group) -> dict[str, EntryPoint]:
    found = sorted(entry_points(group=f"bench.{group}"), key=lambda point: point.name)
    registered: dict[str, EntryPoint] = {}
    for point in found:
        first = registered.setdefault(point.name, point)
        if first.value != point.value:  # one package may be seen twice, installed and as sources
            raise ContractError(
                f"The {group.removesuffix('s')} {point.name!r} is registered twice, as "
                f"{first.value!r} by {_package(first)} and as {point.value!r} by "
                f"{_package(point)}; uninstall one of them or rename its entry point."
            )
    return registered


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unknown package"


def names(group: Group) -> tuple[str, ...]:
    """Names registered in ``group``, sorted; imports no plug-in.

    Raises:
        ContractError: two packages register different things under one name.
    """
    return tuple(_registered(group))


def load(group: Group, name: str) -> Any:
    """Import and return the object registered as ``name`` in ``group``.

    Raises:
        UnknownName: nothing is registered under that name; the nearest name is suggested.
        ContractError: the plug-in is registered but its module cannot be imported, or two
            packages register different things under one name.
    """
    point = _registered(group).get(name)
    if point is None:
        raise UnknownName(group.removesuffix("s"), name, names(group))
    try:
        return point.load()
    except Exception as error:  # a stranger's module raises anything at all
        raise ContractError(
            f"The {group.removesuffix('s')} {name!r} is registered as {point.value!r} but does not "
            f"import ({type(error).__name__}: {error}). Reinstall or mend {_package(point)}."
        ) from error
