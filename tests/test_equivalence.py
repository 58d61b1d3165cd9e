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
        device=HERE,
        torch="2",
        package="0",
        reference=(0.5,) * len(differences),
        faster=tuple(0.5 + difference for difference in differences),
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


def test_the_same_way_twice_differs_by_nothing() -> None:
    pair = tiny_pair()
    source = random_images(pair.train, 2, generator("equivalence"))
    found = compare(source, NETWORK, Recipe(epochs=2, batch=4), pair.test, strategy="reference")
    assert found.reference == found.faster
    assert len(set(found.reference)) > 1
    assert (found.equivalent, found.strategy, found.images) == (True, "reference", 6)


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


def test_a_verdict_opens_the_door_on_its_device_alone(
    faster_run: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(faster_run.store, verdict([0.0] * 20))
    with pytest.raises(InvalidValue, match="on this device"):
        runner.plan(faster_run)
    monkeypatch.setattr("bench.environment._processor", lambda: HERE)
    environment.describe.cache_clear()
    trials = runner.plan(faster_run).trials
    environment.describe.cache_clear()
    assert {trial.recipe.precision for trial in trials} == {"bf16"}
    plain = runner.plan(replace(faster_run, precision="fp32")).trials
    assert not {trial.id for trial in trials} & {trial.id for trial in plain}


def test_a_bad_verdict_opens_nothing(faster_run: Options) -> None:
    remember(faster_run.store, verdict([0.02, -0.02] * 10))
    trials = runner.plan(replace(faster_run, precision="fp32")).trials
    faster = [replace(trial, recipe=replace(trial.recipe, precision="bf16")) for trial in trials]
    with pytest.raises(InvalidValue, match="not shown equivalent"):
        require(faster, faster_run.store, HERE)
    require(trials, faster_run.store, HERE)  # fp32 needs none
