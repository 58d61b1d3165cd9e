"""Method cards: what is known of a method without importing it.

A card is the TOML file ``presets/<name>.toml`` in the folder of the adapter's module. It names the
paper, the kinds of budget and labels, and gives every parameter a value with its source; presets
then say where tier, dataset or budget call for another value. A card may extend that of another
method and say only what differs. A method without a card (a stranger's first try) is imported and
its dataclass defaults count.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench import plugins
from bench.errors import BadFile, BenchError, ContractError, InvalidValue, UnknownName
from bench.parameters import check
from bench.recipes import KnowledgeDistillation, Recipe
from bench.specs import Budget, BudgetKind
from bench.trials import TIERS, Tier, Track

if TYPE_CHECKING:
    from bench.records import Record

log = logging.getLogger(__name__)

Scalar = bool | int | float | str
LabelRule = Literal["hard", "soft", "learned"]

MAIN = "main"
"""As the teacher of knowledge distillation: the network that the method distils with."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Sourced(_Table):
    """A value and where it comes from (paper and table, release and file, own measurement)."""

    value: Scalar
    source: Annotated[str, Field(min_length=1)]


class Preset(_Table):
    """Values for the trials that match; of several matches the later one in the file wins."""

    tier: Tier | None = None
    dataset: str | None = None
    budget: int | None = None
    parameters: dict[str, Sourced] = {}
    native: dict[str, Sourced] = {}

    def matches(self, tier: Tier, dataset: str, budget: Budget) -> bool:
        """Whether every key that the preset gives agrees."""
        return (
            self.tier in (None, tier)
            and self.dataset in (None, dataset)
            and self.budget in (None, budget.count)
        )


class Card(_Table):
    """A method's card.

    Attributes:
        title: the method's name in words.
        paper: authors, venue, arXiv id.
        extends: another method, whose parameters, native fields and presets count where this card
            has no others; its presets come first, so that this card's win.
        distils_as: the method whose distillation this one takes: it differs in how students are
            trained alone, so that both share every set.
        version: raised whenever the adapter's numbers change.
        budgets: kinds of budget the method can be given.
        labels: what kind of labels it hands over.
        soft_when: a switch among the parameters; turned on, the labels are soft instead.
        tiers: where a run that names no method includes this one; by name it runs in any tier.
        parameters: every parameter with its value and source.
        native: fields of the evaluation recipe (and ``preprocessing``) that the method's own paper
            prescribes instead of the protocol's. Knowledge distillation is given field by field,
            as ``"distillation.alpha"``; its teacher may be ``main``.
        preset: values for certain tiers, datasets and budgets.
    """

    title: str
    paper: str
    extends: str | None = None
    distils_as: str | None = None
    version: Annotated[int, Field(ge=1)] = 1
    budgets: tuple[BudgetKind, ...] = ("ipc",)
    labels: LabelRule = "hard"
    soft_when: str | None = None
    tiers: tuple[Tier, ...] = TIERS
    parameters: dict[str, Sourced] = {}
    native: dict[str, Sourced] = {}
    preset: tuple[Preset, ...] = ()

    def on(self, base: Card) -> Card:
        """This card with what ``base`` has beyond it; it extends what ``base`` extends."""
        return self.model_copy(
            update={
                "extends": base.extends,
                "parameters": base.parameters | self.parameters,
                "native": base.native | self.native,
                "preset": (*base.preset, *self.preset),
            }
        )

    def resolve(self, tier: Tier, dataset: str, budget: Budget) -> dict[str, Sourced]:
        """Every parameter's value for a trial, with its source."""
        values = dict(self.parameters)
        for preset in self.preset:
            if preset.matches(tier, dataset, budget):
                values |= preset.parameters
        return values

    def native_fields(self, tier: Tier, dataset: str, budget: Budget) -> dict[str, Sourced]:
        """What the native track changes for a trial: recipe fields and ``preprocessing``."""
        values = dict(self.native)
        for preset in self.preset:
            if preset.matches(tier, dataset, budget):
                values |= preset.native
        return values


@cache
def card(name: str) -> Card:
    """The card of the method registered as ``name``, complete with what it extends.

    Raises:
        UnknownName: no such method, or it extends no method.
        BadFile: its card is no valid card; the message names the first fault.
    """
    found, names = _own_card(name), [name]
    own = found
    while found.extends is not None:
        if found.extends in names:
            chain = " extends ".join([*names, found.extends])
            raise BadFile(f"The cards of methods extend each other in a circle: {chain}.")
        names.append(found.extends)
        found = found.on(_own_card(found.extends))
    if own.distils_as is not None:
        _check_shared(own, name, names[1:])
    return _check(found, name)


def _own_card(name: str) -> Card:
    """A method's card as its file has it."""
    path = _card_path(name)
    if path is None:
        return _card_of_class(name)
    try:
        return Card.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadFile(f"The card {path} cannot be read: {error}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BadFile(f"The card {path} is wrong at {where}: {first['msg']}.") from error


def distiller(name: str) -> str:
    """The method that distils for method ``name``: itself, unless its card names another."""
    return card(name).distils_as or name


def _check_shared(own: Card, name: str, bases: list[str]) -> None:
    """A method that takes another's sets must have that method's parameters throughout."""
    if own.distils_as not in bases:
        raise BadFile(
            f"The card {_card_path(name)} distils as {own.distils_as!r}, which it does not extend."
        )
    if own.parameters or any(preset.parameters for preset in own.preset):
        raise BadFile(
            f"The card {_card_path(name)} distils as {own.distils_as!r} but has parameters of its "
            f"own; leave one of the two out."
        )


def labels_of(name: str, parameters: Mapping[str, Any]) -> LabelRule:
    """The kind of labels that method ``name`` hands over with these parameters."""
    found = card(name)
    return "soft" if found.soft_when and parameters[found.soft_when] else found.labels


def _check(found: Card, name: str) -> Card:
    switch = found.soft_when and found.parameters.get(found.soft_when)
    if found.soft_when and not (isinstance(switch, Sourced) and isinstance(switch.value, bool)):
        raise BadFile(
            f"The card of {name!r} hands over soft labels when {found.soft_when!r}, "
            f"which is no parameter that is true or false."
        )
    for preset in found.preset:
        for key in preset.parameters:
            if key not in found.parameters:
                raise BadFile(
                    f"The card {_card_path(name)} presets {key!r}, which is no parameter of it."
                )
    return found


def _card_path(name: str) -> Path | None:
    if name not in plugins.names("methods"):
        raise UnknownName("method", name, plugins.names("methods"))
    (point,) = entry_points(group="bench.methods", name=name)
    package = point.module.rpartition(".")[0]
    found = find_spec(package) if package else None
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / "presets" / f"{name}.toml"
        if path.is_file():
            return path
    return None


def _card_of_class(name: str) -> Card:
    """A card from the adapter's own dataclass."""
    adapter = plugins.load("methods", name)
    try:
        defaults = {
            field.name: Sourced(value=field.default, source=f"default of {adapter.__name__}")
            for field in fields(adapter)
            if field.default is not MISSING
        }
        return Card(
            title=(adapter.__doc__ or name).splitlines()[0],
            paper=getattr(adapter, "paper", ""),
            version=getattr(adapter, "version", 1),
            budgets=getattr(adapter, "budgets", ("ipc",)),
            labels=getattr(adapter, "labels", "hard"),
            soft_when=getattr(adapter, "soft_when", None),
            parameters=defaults,
        )
    except (TypeError, ValidationError) as error:
        raise ContractError(
            f"The method {name!r} has no card, and its class is no dataclass of plain values: "
            f"{error}. Give every parameter a default or write presets/{name}.toml beside it."
        ) from error


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A method ready to be built.

    Attributes:
        parameters: every parameter's value.
        preset: the tier whose presets apply, and what the command line changed.
    """

    parameters: dict[str, Scalar]
    preset: str


def resolve(
    name: str, tier: Tier, dataset: str, budget: Budget, changes: Mapping[str, Any] | None = None
) -> Resolved:
    """Parameters of a method for one cell: card, then presets, then ``changes``.

    The adapter is built from what was changed, so that it is refused now and not in the middle of
    the work; presets alone import no adapter.

    Raises:
        UnknownName: a change names no parameter of the method, or is a name that nothing has.
        InvalidValue: a change has the wrong type, is infinite or NaN, or is not allowed.
        ContractError: the adapter does not take its parameters.
    """
    preset = {key: entry.value for key, entry in card(name).resolve(tier, dataset, budget).items()}
    values = dict(preset)
    for key, given in (changes or {}).items():
        if key not in values:
            raise UnknownName(f"parameter of {name}", key, values)
        values[key] = _like(values[key], given, f"{name}.{key}")
    changed = "".join(
        f" {key}={values[key]}" for key in sorted(values) if values[key] != preset[key]
    )
    if changes:
        _try(name, values)
    return Resolved(parameters=values, preset=f"{tier}{changed}")


def methods_of(tier: Tier) -> tuple[str, ...]:
    """Every installed method that takes part in a tier unnamed."""
    return tuple(name for name in plugins.names("methods") if tier in card(name).tiers)


def preset_of(record: Record) -> Mapping[str, Scalar] | None:
    """Parameters of a record's method for its cell with nothing changed.

    ``None`` where the method is not installed, or not as it was then: its adapter has another
    version or other parameters. A broken card tells nothing either; whoever needs it hears why.
    """
    where, method = record.trial, record.method
    distilled = where.distilled_for or where.budget
    try:
        if method.name not in plugins.names("methods"):
            return None
        if card(distiller(method.name)).version != method.version:
            return None
        preset = resolve(method.name, where.tier, where.dataset, distilled).parameters
    except BenchError as error:
        log.debug("the preset of %s is not known: %s", method.name, error)
        return None
    return preset if preset.keys() == method.parameters.keys() else None


def _try(name: str, parameters: Mapping[str, Any]) -> None:
    """Build an adapter to hear what it says of its parameters."""
    try:
        build(name, parameters)
    except BenchError:
        raise
    except Exception as error:  # it shows again where the work is done, and is recorded there
        log.debug("%s cannot be built: %r", name, error)


def _like(current: Scalar, given: Any, where: str) -> Scalar:
    """``given`` as the type of ``current``; texts come from the command line."""
    kind = type(current)
    texts = {"true": True, "false": False}
    try:
        if kind is bool:
            return texts[str(given).lower()]
        if kind is int and not isinstance(given, bool) and float(given) == int(float(given)):
            return int(float(given))
        if kind is float and not isinstance(given, bool) and isfinite(float(given)):
            return float(given)
        if kind is str:
            return str(given)
    except (ValueError, KeyError, OverflowError, TypeError):
        pass
    wanted = "a finite number" if _is_endless(given) else f"a value of type {kind.__name__}"
    raise InvalidValue(f"{where} is {given!r}; give {wanted}.")


def _is_endless(given: Any) -> bool:
    """Whether ``given`` says an infinity or NaN."""
    try:
        return not isfinite(float(given))
    except (ValueError, OverflowError, TypeError):
        return False


def native_track(
    name: str, standard: Recipe, tier: Tier, dataset: str, budget: Budget
) -> tuple[Recipe, str]:
    """The recipe and the pixel space that the method's own paper prescribes.

    Fields that the card leaves alone are the protocol's.

    Raises:
        UnknownName: the card names a field that no recipe has.
    """
    entries = card(name).native_fields(tier, dataset, budget)
    changes = _gather({key: entry.value for key, entry in entries.items()})
    preprocessing = str(changes.pop("preprocessing", "normalize"))
    return standard.with_changes(changes), preprocessing


def _gather(values: Mapping[str, Scalar]) -> dict[str, Any]:
    """``distillation.alpha`` and its like as one ``distillation``, as a recipe takes it."""
    known = {f"distillation.{field.name}": field.name for field in fields(KnowledgeDistillation)}
    changes: dict[str, Any] = {}
    for key, value in values.items():
        if "." not in key:
            changes[key] = value
        elif key in known:
            changes.setdefault("distillation", {"teacher": MAIN})[known[key]] = value
        else:
            raise UnknownName("recipe field", key, known)
    return changes


def recipe_for(
    name: str, track: Track, standard: Recipe, tier: Tier, dataset: str, budget: Budget
) -> tuple[Recipe, str]:
    """Recipe and pixel space of a track."""
    if track == "standard":
        return standard, "normalize"
    return native_track(name, standard, tier, dataset, budget)


def build(name: str, parameters: Mapping[str, Any]) -> Any:
    """The adapter of method ``name`` with these parameters.

    Raises:
        ContractError: the adapter does not take them.
        InvalidValue: a value is not allowed by its type, or refused by the adapter.
    """
    adapter = plugins.load("methods", name)
    check(name, adapter, parameters)
    try:
        return adapter(**parameters)
    except InvalidValue as error:
        raise InvalidValue(f"The parameters of {name} cannot be: {error}") from error
    except TypeError as error:
        raise ContractError(
            f"The method {name!r} does not take its parameters: {error}."
        ) from error
