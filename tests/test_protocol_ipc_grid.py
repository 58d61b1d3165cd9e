"""``ipc-grid``: frozen rules, pinned hashes, and a grid that says what it says."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import augment, datasets, networks, plugins
from bench.distillation import make
from bench.errors import InvalidValue
from bench.evaluation import evaluate
from bench.exam import Entry
from bench.planning import Request
from bench.recipes import Recipe
from bench.specs import Budget
from bench.trials import TIERS, Tier, Trial
from protocols.ipc_grid import IPC_GRID, QUICK, IpcGrid
from tests.fakes import NETWORK, SPEC, exam, tiny_pair

PINS: dict[str, Any] = json.loads((Path(__file__).parent / "pins.json").read_text())
GOLDEN_TOLERANCE = 0.03
"""Other machines round otherwise; a wrong recipe is further off than this."""


def plan(rules: IpcGrid, *methods: str, **changes: Any) -> list[Trial]:
    given: dict[str, Any] = {
        "methods": methods or ("random",),
        "specs": {name: datasets.describe(name) for name in rules.default_datasets},
        "checksums": {},
        "seeds": rules.default_seeds,
    }
    return list(rules.plan(Request(**given | changes)))


def test_a_golden_number_guards_the_code_that_no_hash_sees(tmp_path: Path) -> None:
    """Accuracy of one random image a class of digits, seed 0, in the standard track."""
    pair = datasets.load("digits")
    (trial,) = plan(QUICK, budgets=(Budget("ipc", 1),), tracks=("standard",), seeds=1)
    source = make(trial.distillation, pair.train, experts=tmp_path).source
    (outcome,) = QUICK.evaluate([Entry(trial, source)], exam(pair, tmp_path))
    golden = PINS["ipc-grid"]["v1"]["golden"]["random on digits, ipc 1, seed 0"]
    assert outcome.accuracy == pytest.approx(golden, abs=GOLDEN_TOLERANCE)


@pytest.mark.parametrize("tier", TIERS)
def test_report_and_selection_seeds_are_published_and_disjoint(tier: Tier) -> None:
    rules = IPC_GRID[tier]
    assert not set(rules.report_seeds) & set(rules.selection_seeds)
    for seeds in (rules.report_seeds, rules.selection_seeds):
        assert len(set(seeds)) == len(seeds) >= rules.default_seeds


@pytest.mark.parametrize(("split", "first"), [("test", 0), ("validation", 1000)])
def test_a_split_has_its_own_seeds(split: Any, first: int) -> None:
    trials = plan(QUICK, split=split)
    assert {trial.seed for trial in trials} == set(range(first, first + 5))
    assert {trial.distillation.seed for trial in trials} == {trial.seed for trial in trials}
    assert {trial.distillation.split for trial in trials} == {split}


@pytest.mark.parametrize("tier", TIERS)
def test_every_name_in_the_rules_means_something(tier: Tier) -> None:
    rules = IPC_GRID[tier]
    for dataset in rules.default_datasets:
        spec = datasets.describe(dataset)
        network = rules.network(spec.size_px)
        assert networks.smallest_size(network) <= spec.size_px
        augment.build(rules.recipe.augmentation, spec)
    assert [size for size, _ in rules.networks] == sorted(size for size, _ in rules.networks)


@pytest.mark.parametrize(
    ("size_px", "network"),
    [(8, "d2"), (16, "d2"), (17, "d3"), (28, "d3"), (32, "d3"), (33, "d4"), (64, "d4")],
)
def test_images_get_the_shallowest_network_that_the_field_uses(size_px: int, network: str) -> None:
    assert IPC_GRID["paper"].network(size_px) == f"convnet-{network}"
    assert IPC_GRID["lite"].network(size_px) == f"convnet-{network}"


def test_larger_images_are_refused_with_the_way_out() -> None:
    with pytest.raises(InvalidValue, match=r"no network for images of 65 px.*name=path@size"):
        QUICK.network(65)


@pytest.mark.parametrize("tier", TIERS)
def test_the_grid_is_datasets_times_budgets_times_seeds_times_tracks(tier: Tier) -> None:
    rules = IPC_GRID[tier]
    trials = plan(rules)
    cells = Counter(
        (trial.distillation.dataset, str(trial.distillation.budget)) for trial in trials
    )
    assert cells == {
        (dataset, f"ipc {count}"): 2 * rules.default_seeds
        for dataset, counts in rules.grid
        for count in counts
    }


def test_the_ceiling_row_is_the_whole_set_once_a_dataset() -> None:
    trials = plan(QUICK, "whole", "random")
    whole = [trial for trial in trials if trial.distillation.method == "whole"]
    assert {trial.distillation.budget for trial in whole} == {Budget("full", 0)}
    assert len(whole) == 2 * QUICK.default_seeds
    assert {trial.recipe.epochs for trial in whole} == {QUICK.whole_epochs}
    others = {trial.recipe for trial in trials if trial.track == "standard"} - {whole[0].recipe}
    assert others == {QUICK.recipe}


def test_the_standard_track_has_one_recipe_for_every_method() -> None:
    methods = [name for name in plugins.names("methods") if name != "whole"]
    trials = plan(QUICK, *methods, tracks=("standard",))
    assert {trial.recipe for trial in trials} == {QUICK.recipe}
    assert {trial.distillation.preprocessing for trial in trials} == {"normalize"}


def test_asked_budgets_replace_the_grids() -> None:
    trials = plan(QUICK, budgets=(Budget("ipc", 3), Budget("inpc", 4)))
    assert {trial.distillation.budget for trial in trials} == {Budget("ipc", 3)}


def test_a_dataset_outside_the_grid_is_run_under_the_same_rules() -> None:
    trials = plan(QUICK, specs={"tiny": SPEC})
    counts = {trial.distillation.budget.count for trial in trials}
    assert counts == {1, 10, 50}
    assert {trial.architecture for trial in trials} == {"convnet-d2-w32"}


def test_one_student_is_trained_and_tested_as_the_trial_says(tmp_path: Path) -> None:
    pair = tiny_pair()
    (trial, *_) = plan(replace(QUICK, networks=((8, NETWORK),)), specs={"tiny": SPEC})
    trial = replace(trial, recipe=Recipe(epochs=2), seed=7)
    source = make(trial.distillation, pair.train, experts=tmp_path).source
    told: list[tuple[int, int, int]] = []
    seen = exam(pair, tmp_path, lambda *args: told.append(args))
    (ours,) = QUICK.evaluate([Entry(trial, source)], seen)
    (theirs,) = evaluate(source, NETWORK, Recipe(epochs=2), pair.test, [7])
    assert replace(ours, seconds=0) == replace(theirs, seconds=0)
    assert told == [(7, 1, 2), (7, 2, 2)]
