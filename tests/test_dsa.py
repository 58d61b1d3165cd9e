"""DSA: DC with real images, the same siamese draw on both sides, and per-image draws inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from bench import cards, plugins
from bench.augment.differentiable import DifferentiableAugmentation, Draw
from bench.condensation import CondensationState
from bench.data import SyntheticSet
from bench.errors import BadFile
from bench.recipes import STANDARD
from bench.specs import Budget
from bench.training import Training
from methods.dc import DatasetCondensation
from tests.conftest import Install
from tests.fakes import SPEC, tiny_task

IPC = 2
DSA = DatasetCondensation(
    iterations=1,
    outer_loops=2,
    inner_epochs=3,
    lr_images=0.1,
    momentum=0.5,
    lr_student=0.01,
    batch_real=8,
    batch_syn=4,
    init="real",
    augmentation="dsa",
)


@dataclass(frozen=True)
class Watched(DifferentiableAugmentation):
    """DSA that notes what it drew and for how many images."""

    drawn: list[Draw] = field(default_factory=list)
    pairs: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def draw(self, shape: Sequence[int], rng: Generator, *, siamese: bool = False) -> Draw:
        made = super().draw(shape, rng, siamese=siamese)
        self.drawn.append(made)
        return made

    def pair(self, real: Tensor, synthetic: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        self.pairs.append((real, synthetic))
        return super().pair(real, synthetic, rng)


def watched_step(folder: Path) -> tuple[CondensationState, Watched]:
    """One step of DSA under watch."""
    state = DSA.prepare(tiny_task(folder, ipc=IPC))
    watch = Watched(state.augmentation.stages)
    state.augmentation = watch
    DSA.step(state)
    return state, watch


def sizes(draws: Sequence[Draw]) -> list[int]:
    """For how many images each draw has parameters of its own."""
    return [len(operation.parameters) for draw in draws for operation in draw.operations]


def test_both_sides_share_one_draw_a_class_and_the_students_images_have_their_own(
    tmp_path: Path,
) -> None:
    _, watch = watched_step(tmp_path)
    siamese, an_epoch = [1] * SPEC.num_classes, [4, 2]  # six images in batches of four
    assert sizes(watch.drawn) == [*siamese, *an_epoch * 3, *siamese]
    assert [(len(real), len(made)) for real, made in watch.pairs] == [(8, IPC)] * 6


def test_each_class_has_a_draw_of_its_own(tmp_path: Path) -> None:
    _, watch = watched_step(tmp_path)
    first, *others = (draw.operations[0] for draw in watch.drawn[: SPEC.num_classes])
    assert all(
        type(first.family) is not type(other.family)
        or not torch.equal(first.parameters, other.parameters)
        for other in others
    )


def test_gradients_are_matched_on_what_the_same_draw_made_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    state = DSA.prepare(tiny_task(tmp_path, ipc=IPC))
    state.augmentation = watch = Watched(state.augmentation.stages)
    network = state.task.fresh_network()
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    monkeypatch.setattr(Training, "run_epoch", lambda self: torch.zeros(()))
    before = state.images.detach().clone()
    DSA.condense(network, state)
    for number in range(SPEC.num_classes):  # of the first outer loop
        draw, real = watch.drawn[number], watch.pairs[number][0]
        assert torch.equal(seen[2 * number], draw.apply(real))
        ours = before[number * IPC : (number + 1) * IPC]
        assert torch.equal(seen[2 * number + 1], draw.apply(ours))


def test_starts_from_real_images(tmp_path: Path) -> None:
    state = DSA.prepare(tiny_task(tmp_path, ipc=IPC))
    pool = state.task.real.images().flatten(1).tolist()
    assert all(image in pool for image in state.images.detach().flatten(1).tolist())


def test_hands_over_images_without_augmentation(tmp_path: Path) -> None:
    state, _ = watched_step(tmp_path)
    made = DSA.result(state)
    assert isinstance(made, SyntheticSet)
    assert torch.equal(made.images, state.images.detach())


# ---------------------------------------------------------------------------- its card


def test_it_is_dcs_adapter_with_another_card() -> None:
    assert plugins.load("methods", "dsa") is plugins.load("methods", "dc")
    for count in (1, 10, 20, 30, 40, 50):
        ours, dc = (
            cards.resolve(name, "paper", "cifar10", Budget("ipc", count)).parameters
            for name in ("dsa", "dc")
        )
        assert {key for key in dc if ours[key] != dc[key]} == {"init", "augmentation"}
        assert (ours["init"], ours["augmentation"]) == ("real", "dsa")


@pytest.mark.parametrize("dataset", ["cifar10", "mnist", "svhn"])
def test_its_native_recipe_is_the_fields_common_one(dataset: str) -> None:
    recipe, space = cards.native_track("dsa", STANDARD, "paper", dataset, Budget("ipc", 10))
    assert (recipe, space) == (STANDARD, "normalize")


# ------------------------------------------------------------- cards that extend others

BASE = """
title = "Base"
paper = "They, 2020"
parameters.iterations = { value = 1000, source = "release, main.py" }
parameters.rate = { value = 1.0, source = "release, main.py" }
native.epochs = { value = 300, source = "release, main.py" }

[[preset]]
tier = "quick"
parameters.iterations = { value = 10, source = "own tuning" }
parameters.rate = { value = 2.0, source = "own tuning" }
"""
OURS = """
title = "Ours"
paper = "We, 2024"
extends = "base"
parameters.depth = { value = 3, source = "paper, table 1" }
parameters.iterations = { value = 500, source = "paper, table 1" }
native.augmentation = { value = "none", source = "paper, table 1" }

[[preset]]
tier = "quick"
parameters.rate = { value = 4.0, source = "own tuning" }
"""


def write_cards(install: Install, **texts: str) -> None:
    """Install a stranger's methods, each with its card."""
    points = {name: f"strange_cards.{name}:Any" for name in texts}
    package = install({"methods": points}) / "strange_cards"
    (package / "presets").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for name, text in texts.items():
        (package / "presets" / f"{name}.toml").write_text(text)


@pytest.mark.parametrize(
    ("tier", "expected"),
    [
        ("paper", {"iterations": 500, "rate": 1.0, "depth": 3}),
        ("quick", {"iterations": 10, "rate": 4.0, "depth": 3}),
    ],
)
def test_a_card_says_only_what_differs_from_the_one_it_extends(
    tier: Any, expected: dict[str, Any], install: Install
) -> None:
    write_cards(install, base=BASE, ours=OURS)
    assert cards.resolve("ours", tier, "digits", Budget("ipc", 1)).parameters == expected
    recipe, _ = cards.native_track("ours", STANDARD, tier, "digits", Budget("ipc", 1))
    assert (recipe.epochs, recipe.augmentation) == (300, "none")
    assert (cards.card("ours").title, cards.card("ours").paper) == ("Ours", "We, 2024")
    assert cards.card("base").resolve("paper", "digits", Budget("ipc", 1)).keys() == {
        "iterations",
        "rate",
    }


def test_a_chain_of_cards_counts_from_its_far_end(install: Install) -> None:
    last = 'title = "Last"\npaper = "We, 2025"\nextends = "ours"\n'
    write_cards(install, base=BASE, ours=OURS, last=last)
    assert cards.card("last").parameters == cards.card("ours").parameters
    assert cards.card("last").preset == cards.card("ours").preset


def test_cards_that_extend_each_other_are_refused(install: Install) -> None:
    write_cards(
        install, base=BASE.replace("parameters", 'extends = "ours"\nparameters', 1), ours=OURS
    )
    with pytest.raises(BadFile, match="circle: ours extends base extends ours"):
        cards.card("ours")


SHARING = 'title = "Ours"\npaper = "We, 2024"\nextends = "base"\ndistils_as = "base"\n'


def test_a_method_that_only_trains_otherwise_takes_the_sets_of_the_one_it_extends(
    install: Install,
) -> None:
    write_cards(install, base=BASE, ours=SHARING)
    assert cards.distiller("ours") == cards.distiller("base") == "base"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (SHARING.replace('extends = "base"\n', ""), "'base', which it does not extend"),
        (SHARING.replace('as = "base"', 'as = "dc"'), "'dc', which it does not extend"),
        (OURS.replace('"base"', '"base"\ndistils_as = "base"'), "has parameters of its own"),
    ],
)
def test_a_method_with_other_sets_cannot_share_them(
    text: str, fault: str, install: Install
) -> None:
    write_cards(install, base=BASE, ours=text)
    with pytest.raises(BadFile, match=fault):
        cards.card("ours")
