"""What is installed, where it is what records were made by: rules of protocols, and methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.errors import UnknownName

if TYPE_CHECKING:
    from bench.planning import Rules
    from bench.trials import Tier

LoadRules = Callable[[str, int, str, "Tier"], "Rules | None"]
"""The rules of a protocol by name, version, hash and tier; ``None`` where they are not at hand."""

RulesHash = Callable[[str, int, "Tier"], "str | None"]
"""The hash of a protocol's rules by name, version and tier; ``None`` where they are not known."""


def installed_rules(name: str, version: int, digest: str, tier: Tier) -> Rules | None:
    """The installed rules, if they are those of this version and hash."""
    found = _rules(name, tier)
    return found if found and (found.version, _hash(found)) == (version, digest) else None


def installed_hash(name: str, version: int, tier: Tier) -> str | None:
    """The hash of the installed rules of this protocol, version and tier."""
    found = _rules(name, tier)
    return _hash(found) if found and found.version == version else None


def has_method(name: str, version: int) -> bool:
    """Whether a method is installed in this version of its adapter."""
    return _version(name) == version


def is_other_version(name: str, version: int) -> bool:
    """Whether a method is installed, and its adapter in another version than this."""
    return _version(name) not in (None, version)


def _version(method: str) -> int | None:
    from bench import cards, plugins

    if method not in plugins.names("methods"):
        return None
    return cards.card(cards.distiller(method)).version


def _rules(name: str, tier: Tier) -> Rules | None:
    from bench.planning import load_rules

    try:
        return load_rules(name, tier)
    except UnknownName:
        return None


def _hash(rules: Rules) -> str:
    from bench.planning import rules_hash

    return rules_hash(rules)
