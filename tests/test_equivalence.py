"""Verdicts: when a faster way counts as equivalent, and which door that opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import environment, runner
from bench.equivalence import Verdict, compare, random_images, remember, require, verdicts
from bench.errors import BadFile, InvalidValue
from bench.randomness import generator
from bench.recipes import Recipe
from bench.records import Environment
from bench.runner import Options
from bench.specs import Budget
from tests.fakes import NETWORK, tiny_pair

HERE = "this CPU"


def verdict(differences: Sequence[float], **facts: Any) -> Verdict:
    made = Verdict(
        dataset="tiny",
        network=NETWORK,
        precision="bf16",
        strategy="reference",
        epochs=3,
        images=30,
        classes=3,
        device=HERE,
        torch="2",
        package="0",
        reference=(0.9,) * len(differences),
        faster=tuple(0.9 + difference for difference in differences),
    )
    return replace(made, **facts)


@pytest.mark.parametrize(
    ("differences", "equivalent"),
    [
        ([0.004, -0.004] * 10, True),
        ([0.0] * 20, True),
        ([0.0] * 19, False),  # too few seeds
        ([0.02, -0.02] * 10, False),  # 95 % interval ±0.96 points
        ([0.002, 0.001] * 10, False),  # narrow, but beside 0
    ],
)
def test_equivalent_is_a_narrow_interval_around_zero(
    differences: list[float], equivalent: bool
) -> None:
    assert verdict(differences).equivalent is equivalent


@pytest.mark.parametrize(
    ("reached", "classes", "learnt"),
    [(0.103, 10, False), (0.19, 10, False), (0.21, 10, True), (0.7, 2, False), (0.8, 2, True)],
)
def test_two_ways_that_guess_are_not_shown_equivalent(
    reached: float, classes: int, learnt: bool
) -> None:
    guessed = verdict([0.0] * 20, reference=(reached,) * 20, faster=(reached,) * 20)
    found = replace(guessed, classes=classes)
    assert found.equivalent is learnt
    assert ("too near to chance" in found.flaw) is not learnt


def test_the_same_way_twice_differs_by_nothing() -> None:
    pair = tiny_pair()
    source = random_images(pair.train, 2, generator("equivalence"))
    found = compare(source, NETWORK, Recipe(epochs=20, batch=4), pair.test, strategy="reference")
    assert found.reference == found.faster
    assert len(set(found.reference)) > 1
    assert (found.equivalent, found.strategy, found.images) == (True, "reference", 6)
    assert found.classes == 3


def test_few_seeds_are_refused() -> None:
    pair = tiny_pair()
    with pytest.raises(InvalidValue, match="20 or more"):
        compare(pair.train, NETWORK, Recipe(epochs=1), pair.test, seeds=19)


def test_random_images_are_as_many_of_each_class() -> None:
    source = random_images(tiny_pair().train, 4, generator("equivalence"))
    _, labels = source.epoch(generator("unused"))
    assert labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_a_verdict_comes_back_from_the_store_as_it_was(tmp_path: Path) -> None:
    written = verdict([0.01, -0.02] * 10)
    remember(tmp_path, written)
    assert verdicts(tmp_path, "tiny", NETWORK) == [written]
    assert verdicts(tmp_path, "tiny", "mlp") == []


def test_a_damaged_verdict_is_named(tmp_path: Path) -> None:
    path = remember(tmp_path, verdict([0.0] * 20))
    path.write_text('{"reference": [1]}', encoding="utf-8")
    with pytest.raises(BadFile, match="no verdict"):
        verdicts(tmp_path, "tiny", NETWORK)


@pytest.fixture
def faster_run(registered: None, tmp_path: Path) -> Options:
    return Options(
        protocol="tiny-grid",
        methods=("random",),
        budgets=(Budget("ipc", 1),),
        precision="bf16",
        device="cpu",
        store=tmp_path / "store",
    )


def test_a_run_in_a_faster_precision_is_refused_without_a_verdict(faster_run: Options) -> None:
    with pytest.raises(InvalidValue, match=r"bench equivalence --precision bf16 --dataset tiny"):
        runner.plan(faster_run)


def here(faster_run: Options) -> Environment:
    return environment.describe(environment.choose_device(faster_run.device))


def matching(faster_run: Options, **facts: Any) -> Verdict:
    """A verdict that opens the door of the run, but for ``facts``."""
    place = here(faster_run)
    found = verdict([0.0] * 20, device=place.device, torch=place.torch, package=place.package)
    return replace(found, **facts)


def test_a_verdict_opens_the_door(faster_run: Options) -> None:
    remember(faster_run.store, matching(faster_run))
    trials = runner.plan(faster_run).trials
    assert {trial.recipe.precision for trial in trials} == {"bf16"}
    plain = runner.plan(replace(faster_run, precision="fp32")).trials
    assert not {trial.id for trial in trials} & {trial.id for trial in plain}


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"device": "another CPU"}, "reached on another device, another CPU"),
        ({"torch": "1.0"}, r"reached with torch 1\.0"),
        ({"package": "0.0.1"}, r"version 0\.0\.1 of the suite"),
        ({"epochs": 2}, "trained for 2 epochs, of 3 that count"),
        ({"reference": (0.34,) * 20, "faster": (0.34,) * 20}, "too near to chance"),
        ({"faster": (0.8,) * 20}, "does not contain 0"),
    ],
)
def test_another_verdict_opens_nothing_and_is_told(
    faster_run: Options, facts: dict[str, Any], why: str
) -> None:
    remember(faster_run.store, matching(faster_run, **facts))
    with pytest.raises(InvalidValue, match=f"not shown equivalent.*{why}"):
        runner.plan(faster_run)


def test_300_epochs_count_for_longer_training(faster_run: Options) -> None:
    (trial, *_) = runner.plan(replace(faster_run, precision="fp32")).trials
    long = replace(trial, recipe=replace(trial.recipe, precision="bf16", epochs=1000))
    remember(faster_run.store, matching(faster_run, epochs=299))
    with pytest.raises(InvalidValue, match="299 epochs, of 300 that count"):
        require([trial, long], faster_run.store, here(faster_run))
    remember(faster_run.store, matching(faster_run, epochs=300))
    require([trial, long], faster_run.store, here(faster_run))


def test_fp32_needs_no_verdict(faster_run: Options) -> None:
    trials = runner.plan(replace(faster_run, precision="fp32")).trials
    require(trials, faster_run.store, here(faster_run))
