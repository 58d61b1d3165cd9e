"""Cards: every value has a source and a type, later presets win, broken cards are refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from bench import cards, plugins
from bench.cards import Card
from bench.errors import BadFile, ContractError, InvalidValue, UnknownName
from bench.recipes import STANDARD, Recipe
from bench.specs import Budget
from bench.trials import TIERS
from tests import fakes

ONE = Budget("ipc", 1)
METHODS = plugins.names("methods")


def sourced(card: Card) -> list[tuple[str, cards.Sourced]]:
    """Every value of a card with its place."""
    tables = [("parameters", card.parameters), ("native", card.native)]
    for number, preset in enumerate(card.preset):
        tables += [(f"preset {number}", preset.parameters), (f"preset {number}", preset.native)]
    return [(f"{where}.{key}", entry) for where, table in tables for key, entry in table.items()]


@pytest.mark.parametrize("name", METHODS)
def test_every_value_names_its_source(name: str) -> None:
    for where, entry in sourced(cards.card(name)):
        assert len(entry.source.split()) >= 2, f"{name}: {where}"


@pytest.mark.parametrize("name", METHODS)
def test_every_value_has_the_type_the_adapter_declares(name: str) -> None:
    card, hints = cards.card(name), get_type_hints(plugins.load("methods", name))
    for where, entry in sourced(card):
        key = where.rpartition(".")[2]
        if key in card.parameters and "native" not in where:
            choices = get_args(hints[key])  # of a Literal
            fits = entry.value in choices if choices else type(entry.value) is hints[key]
            assert fits, f"{name}: {where} is {entry.value!r}"


@pytest.mark.parametrize("name", METHODS)
def test_every_preset_says_when_and_what(name: str) -> None:
    for preset in cards.card(name).preset:
        assert preset.parameters or preset.native
        assert (preset.tier, preset.dataset, preset.budget) != (None, None, None)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", METHODS)
def test_every_tier_resolves_and_builds(name: str, tier: Any) -> None:
    for dataset in ("digits", "mnist", "cifar10", "unheard-of"):
        for count in (1, 3, 10, 20, 50, 500):
            budget = Budget("ipc", count)
            resolved = cards.resolve(name, tier, dataset, budget)
            assert cards.build(name, resolved.parameters).steps >= 0
            for track in ("standard", "native"):
                recipe, space = cards.recipe_for(name, track, STANDARD, tier, dataset, budget)
                assert isinstance(recipe, Recipe)
                assert space in ("normalize", "zca")


def test_the_standard_track_is_the_protocols_recipe_for_every_method() -> None:
    for name in METHODS:
        assert cards.recipe_for(name, "standard", STANDARD, "paper", "mnist", ONE) == (
            STANDARD,
            "normalize",
        )


# ------------------------------------------------------------- a stranger's card

CARD = """
title = "Ours"
paper = "We, 2024"
labels = "soft"

[parameters]
steps_taken = { value = 10, source = "paper, table 1" }
rate = { value = 1.0, source = "paper, table 1" }
fast = { value = false, source = "paper, section 3" }
init = { value = "real", source = "release, main.py" }

[native]
epochs = { value = 300, source = "paper, section 4" }
preprocessing = { value = "zca", source = "paper, section 4" }

[[preset]]
tier = "quick"
parameters.rate = { value = 2.0, source = "own tuning" }
parameters.steps_taken = { value = 3, source = "own tuning" }

[[preset]]
dataset = "digits"
budget = 10
parameters.rate = { value = 3.0, source = "paper, table 2" }
native.epochs = { value = 30, source = "paper, table 2" }
"""

ADAPTER = """
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True)
class Ours:
    steps_taken: int
    rate: float
    fast: bool
    init: str

    @property
    def steps(self):
        return self.steps_taken
"""

Write = Callable[[str], None]


@pytest.fixture
def stranger(install: Any) -> Iterator[Write]:
    """Write the card of the method ``ours``, registered by a package of a stranger."""
    package = install({"methods": {"ours": "strangers_package.ours:Ours"}}) / "strangers_package"
    (package / "presets").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "ours.py").write_text(ADAPTER)

    def write(text: str) -> None:
        (package / "presets" / "ours.toml").write_text(text)
        cards.card.cache_clear()

    write(CARD)
    yield write
    for module in [name for name in sys.modules if name.startswith("strangers_package")]:
        del sys.modules[module]


@pytest.mark.parametrize(
    ("tier", "dataset", "count", "rate", "steps"),
    [
        ("paper", "cifar10", 1, 1.0, 10),
        ("quick", "cifar10", 1, 2.0, 3),
        ("paper", "digits", 10, 3.0, 10),
        ("quick", "digits", 10, 3.0, 3),  # both match: the later one wins, key by key
        ("quick", "digits", 1, 2.0, 3),
    ],
)
@pytest.mark.usefixtures("stranger")
def test_presets_apply_where_all_their_keys_match_and_the_later_wins(
    tier: Any, dataset: str, count: int, rate: float, steps: int
) -> None:
    found = cards.resolve("ours", tier, dataset, Budget("ipc", count))
    assert (found.parameters["rate"], found.parameters["steps_taken"]) == (rate, steps)
    assert found.preset == tier


@pytest.mark.usefixtures("stranger")
def test_the_native_track_is_the_papers_recipe_over_the_protocols() -> None:
    standard = Recipe(epochs=1000, batch=77)
    recipe, space = cards.native_track("ours", standard, "paper", "digits", Budget("ipc", 10))
    assert (recipe.epochs, recipe.batch, space) == (30, 77, "zca")
    recipe, space = cards.native_track("ours", standard, "paper", "cifar10", ONE)
    assert (recipe.epochs, recipe.batch, space) == (300, 77, "zca")


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("steps_taken", "50", 50),
        ("steps_taken", "1e3", 1000),
        ("steps_taken", 7, 7),
        ("steps_taken", 7.0, 7),
        ("rate", "0.5", 0.5),
        ("rate", 3, 3.0),
        ("rate", "1e-7", 1e-7),
        ("fast", "true", True),
        ("fast", "False", False),
        ("fast", True, True),
        ("init", "noise", "noise"),
        ("init", 5, "5"),
    ],
)
@pytest.mark.usefixtures("stranger")
def test_changes_take_the_type_of_what_they_change(key: str, given: Any, value: Any) -> None:
    found = cards.resolve("ours", "paper", "digits", ONE, {key: given})
    assert found.parameters[key] == value
    assert type(found.parameters[key]) is type(value)
    preset = cards.resolve("ours", "paper", "digits", ONE).parameters[key]
    assert found.preset == ("paper" if value == preset else f"paper {key}={value}")


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("steps_taken", "5.5"),
        ("steps_taken", "many"),
        ("steps_taken", True),
        ("steps_taken", None),
        ("rate", "fast"),
        ("rate", False),
        ("rate", [1]),
        ("fast", "yes"),
        ("fast", 1),
    ],
)
@pytest.mark.usefixtures("stranger")
def test_changes_of_another_type_are_refused(key: str, given: Any) -> None:
    with pytest.raises(InvalidValue, match=rf"ours\.{key} is .*; give a value of type"):
        cards.resolve("ours", "paper", "digits", ONE, {key: given})


@pytest.mark.parametrize("given", ["inf", "-Infinity", "nan", float("nan")])
@pytest.mark.parametrize("key", ["steps_taken", "rate"])
@pytest.mark.usefixtures("stranger")
def test_numbers_are_finite(key: str, given: Any) -> None:
    with pytest.raises(InvalidValue, match=rf"ours\.{key} is .*; give a finite number\."):
        cards.resolve("ours", "paper", "digits", ONE, {key: given})


@pytest.mark.usefixtures("stranger")
def test_a_change_of_nothing_that_exists_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"parameter of ours named 'rates'.*mean 'rate'"):
        cards.resolve("ours", "paper", "digits", ONE, {"rates": 1})


@pytest.mark.usefixtures("stranger")
def test_a_change_to_what_the_preset_says_anyway_is_none() -> None:
    preset = cards.resolve("ours", "paper", "digits", ONE)
    key, value = next(iter(preset.parameters.items()))
    assert cards.resolve("ours", "paper", "digits", ONE, {key: str(value)}) == preset


def without(line: str) -> str:
    assert line in CARD
    return CARD.replace(line, "")


BROKEN = {
    "no TOML": ("title = ", "cannot be read"),
    "no title": (without('title = "Ours"\n'), "wrong at title"),
    "no source": (CARD.replace(', source = "paper, section 3"', ""), r"parameters\.fast\.source"),
    "empty source": (CARD.replace('"paper, section 3"', '""'), r"parameters\.fast\.source"),
    "unknown key": (CARD.replace("labels", "lables"), "wrong at lables"),
    "unknown tier": (CARD.replace('tier = "quick"', 'tier = "fast"'), "tier"),
    "unknown parameter": (CARD.replace("parameters.rate", "parameters.speed"), "presets 'speed'"),
    "unknown switch": (CARD.replace("[parameters]", 'soft_when = "warm"\n[parameters]'), "'warm'"),
    "no switch": (CARD.replace("[parameters]", 'soft_when = "rate"\n[parameters]'), "'rate'"),
    "infinite": (CARD.replace("value = 1.0", "value = inf"), r"parameters\.rate"),
    "a list": (CARD.replace("value = 1.0", "value = [1.0]"), r"parameters\.rate"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_card_is_refused_with_the_place(what: str, stranger: Write) -> None:
    text, message = BROKEN[what]
    stranger(text)
    with pytest.raises(BadFile, match=message):
        cards.card("ours")


def test_a_switch_turns_soft_labels_on(stranger: Write) -> None:
    stranger(CARD.replace('labels = "soft"', 'labels = "hard"\nsoft_when = "fast"'))
    for fast, labels in ((False, "hard"), (True, "soft")):
        resolved = cards.resolve("ours", "paper", "digits", ONE, {"fast": fast})
        assert cards.labels_of("ours", resolved.parameters) == labels


def test_a_native_field_that_no_recipe_has_is_refused(stranger: Write) -> None:
    stranger(CARD.replace("[native]\nepochs", "[native]\nepoch"))
    with pytest.raises(UnknownName, match="recipe field named 'epoch'"):
        cards.native_track("ours", STANDARD, "paper", "cifar10", ONE)


def test_a_card_that_the_adapter_does_not_follow_is_the_plugins_fault(stranger: Write) -> None:
    stranger(CARD.replace("rate = { value = 1.0", "speed = { value = 1.0").replace(
        "parameters.rate", "parameters.speed"
    ))  # fmt: skip
    found = cards.resolve("ours", "paper", "cifar10", ONE)
    with pytest.raises(ContractError, match="'ours' does not take its parameters"):
        cards.build("ours", found.parameters)


@pytest.mark.usefixtures("registered")
def test_a_method_without_a_card_is_described_by_its_class() -> None:
    card = cards.card("walk")
    assert card.title == "Images on a random walk with momentum; it counts its steps."
    assert card.budgets == ("ipc",)
    assert card.parameters["iterations"].value == 4
    assert "Walk" in card.parameters["iterations"].source
    changed = cards.resolve("walk", "quick", "tiny", ONE, {"iterations": "7"})
    assert cards.build("walk", changed.parameters) == fakes.Walk(iterations=7)


@dataclass
class NoPlainDefault:
    """Its default is no plain value."""

    folder: Path = Path()


def test_a_method_without_card_or_plain_defaults_breaks_the_contract(install: Any) -> None:
    install({"methods": {"bare": "tests.test_cards:NoPlainDefault"}})
    with pytest.raises(ContractError, match=r"write presets/bare\.toml"):
        cards.card("bare")


def test_an_unknown_method_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'herding'"):
        cards.card("hearding")
