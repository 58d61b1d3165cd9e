"""What tells a row from its method's preset: changed settings, by name.

The preset is that of the installed card, distilled in one set with the network of the installed
rules and trained by their recipe in ``fp32``, wherever the records are of that card and of those
rules. What is not known so is told by the other rows of the method in the same table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from bench import cards, datasets, plugins
from bench.errors import BenchError
from bench.files import canonical_json
from bench.planning import Rules
from bench.recipes import LEFT_OUT, Recipe
from bench.records import Coordinates, Record
from bench.rules import GridRules

Changes = tuple[tuple[str, str], ...]
Settings = tuple[tuple[str, str], ...]
"""Everything but the seed that decides a method's result in a table, as sorted texts."""

CODE = "adapter-version"
NETWORK = "distilled-with"
PRECISION = "recipe.precision"
SETS = "merged-sets"

OPTIONS = frozenset({NETWORK, PRECISION})
"""Changes beside parameters that an option of ``bench run`` asks for."""

RULED = frozenset({SETS, "pixels", "distilled-for"})
"""Changes that the rules make, beside those of the recipe."""


def is_ruled(name: str) -> bool:
    """Whether a change of this name is the rules' doing: no option of ``bench run`` asks for it."""
    return name in RULED or (name.startswith("recipe.") and name not in OPTIONS)


def settings(record: Record) -> Settings:
    """What the records of one row share."""
    values: dict[str, Any] = dict(record.method.parameters)
    values |= _recipe_settings(record.recipe)
    values[CODE] = record.method.version
    values[NETWORK] = record.trial.network
    values["pixels"] = record.dataset.preprocessing
    values["distilled-for"] = str(record.trial.distilled_for or "")
    values[SETS] = 1 + len(record.trial.merged_seeds)
    return _texts(canonical_json(values))


def _recipe_settings(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {f"recipe.{name}": value for name, value in {**LEFT_OUT, **recipe}.items()}


def text(value: Any) -> str:
    """A setting's value as titles and commands have it."""
    return value if isinstance(value, str) else canonical_json(value)


@lru_cache(maxsize=4096)  # the trials of a row share one text
def _texts(values: str) -> Settings:
    return tuple(sorted((name, text(value)) for name, value in json.loads(values).items()))


def changes(variants: Mapping[Settings, Sequence[Record]], rules: Rules | None) -> list[Changes]:
    """For each variant of a method in a table what tells it from the preset and from the others.

    Where card and rules do not tell, *the* preset is, of several (an adapter's versions, students
    whose recipe the rules vary, merged sets), that of the newest version, by the rules' recipe, of
    the fewest sets, and last made. Where no record comes from an unchanged preset and no card tells
    it either, the changes that the records state are shown.

    Args:
        variants: the records of one method on one architecture by their settings.
        rules: those that the records were made under; ``None`` where they are not at hand.
    """
    usual = {own: _usual(members[0], rules) for own, members in variants.items()}
    altered = {own: _altered(own, usual[own], members) for own, members in variants.items()}
    candidates = [own for own in variants if not altered[own]]
    candidates = candidates or [own for own in variants if _is_told(usual[own], variants[own][0])]
    candidates.sort(key=lambda own: _precedence(variants[own], _recipe(rules)))
    preset = dict(candidates[-1]) | usual[candidates[-1]] if candidates else {}
    varying = _different([dict(own) for own in variants])
    named = []
    for variant, known in usual.items():
        own = dict(variant)
        if preset:
            names = _different([own, preset | known])
        else:
            names = varying | altered[variant] | _different([own, own | known])
        named.append(tuple((name, own.get(name, "unset")) for name in sorted(names)))
    return named


def _different(members: Sequence[Mapping[str, str]]) -> set[str]:
    names = {name for member in members for name in member}
    return {name for name in names if len({member.get(name) for member in members}) > 1}


def _precedence(members: Sequence[Record], recipe: Mapping[str, Any]) -> tuple[Any, ...]:
    """Orders presets; *the* preset is last."""
    first = members[0]
    newest = max(record.time for record in members)
    return first.method.version, first.recipe == recipe, -len(first.trial.merged_seeds), newest


def _recipe(rules: Rules | None) -> Mapping[str, Any]:
    """What rules train students by, unless they vary it; ``{}`` where that is not known."""
    recipe = getattr(rules, "recipe", None)
    return recipe.as_dict() if isinstance(recipe, Recipe) else {}


def _altered(own: Settings, usual: Mapping[str, str], members: Sequence[Record]) -> set[str]:
    """Parameters that are not the preset's: by the card, or else as the records say."""
    first = members[0]
    if _is_told(usual, first):
        return {
            name for name, value in own if name in first.method.parameters and value != usual[name]
        }
    stated = [
        {word.partition("=")[0] for word in record.method.preset.split() if "=" in word}
        & record.method.parameters.keys()
        for record in members
    ]
    # none if any trial used the preset as it is
    return set.union(*stated) if all(stated) else set()


def _is_told(usual: Mapping[str, str], record: Record) -> bool:
    """Whether the card tells the preset of every parameter."""
    return record.method.parameters.keys() <= usual.keys()


def _usual(record: Record, rules: Rules | None) -> dict[str, str]:
    """Settings of a run that asks for nothing but the record's method, as far as they are known."""
    where = record.trial
    usual: dict[str, Any] = {SETS: 1}
    usual |= cards.preset_of(record) or {}
    network = _network(where.dataset, rules)
    if network is not None:
        usual[NETWORK] = network
    if isinstance(rules, GridRules) and _is_plain(where, network):
        usual |= _recipe_settings(rules.recipe.as_dict())
    if "precision" in record.recipe:
        usual[PRECISION] = "fp32"
    return {name: text(value) for name, value in usual.items()}


def _is_plain(where: Coordinates, network: str | None) -> bool:
    """Whether grids train a student by their one recipe: other networks may have other recipes."""
    return (
        where.track == "standard" and where.budget.kind != "full" and where.architecture == network
    )


def _network(dataset: str, rules: Rules | None) -> str | None:
    """What the rules distil with on images of this size, where they say so."""
    if not isinstance(rules, GridRules) or dataset not in plugins.names("datasets"):
        return None
    try:
        return rules.network(datasets.describe(dataset).size_px)
    except BenchError:  # images that the rules do not provide for
        return None
