"""``merge``: independent groups, one recipe for all students of a cell, and an honest verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from bench import datasets
from bench.planning import Request
from bench.records import Cost, Costs, Record
from bench.specs import Budget
from bench.statistics import welch
from bench.studies import Estimate, Study
from bench.trials import TIERS, Tier, Trial
from protocols.merge import MERGE, QUICK
from tests.fakes import SPEC
from tests.records import record_of


def plan(*methods: str, **changes: Any) -> list[Trial]:
    given: dict[str, Any] = {
        "methods": methods or ("dm",),
        "specs": {"digits": datasets.describe("digits")},
        "checksums": {},
        "seeds": 1,
        "tracks": ("standard",),
    }
    return list(QUICK.plan(Request(**given | changes)))


def test_one_to_all_groups_are_merged_and_compared_with_one_go() -> None:
    *merged, one_go = plan()
    seeds = [[source.seed for source in trial.sources] for trial in merged]
    assert seeds == [[0], [0, 100], [0, 100, 200], [0, 100, 200, 300], [0, 100, 200, 300, 400]]
    assert {source.budget for t in merged for source in t.sources} == {Budget("ipc", 2)}
    assert one_go.distillation.budget == Budget("ipc", 10)
    assert len(one_go.sources) == 1


def test_every_repetition_has_groups_of_its_own() -> None:
    groups = {
        trial.seed: {source.seed for source in trial.sources}
        for trial in plan(seeds=20)
        if len(trial.sources) == 5
    }
    assert len(groups) == 20
    assert len(set().union(*groups.values())) == 100


def test_a_group_is_distilled_once_however_often_it_is_merged() -> None:
    *merged, _ = plan()
    assert len({source.key for trial in merged for source in trial.sources}) == 5
    assert len({trial.distillation.key for trial in merged}) == 1  # one job does them all


@pytest.mark.parametrize("tier", TIERS)
def test_all_students_of_a_cell_have_the_recipe_for_as_many_images_in_one_go(tier: Tier) -> None:
    """CIFAR-10, APM: the paper trains 600 epochs on 1000 images a class and 1000 on fewer."""
    request = Request(
        methods=("apm",),
        specs={"cifar10": datasets.describe("cifar10")},
        checksums={},
        budgets=(Budget("ipc", 1000 // dict(MERGE[tier].groups).get("cifar10", 5)),),
        seeds=1,
        tracks=("native",),
    )
    *merged, one_go = MERGE[tier].plan(request)
    assert {trial.recipe for trial in merged} == {one_go.recipe}
    assert one_go.budget.count == 1000
    assert tier == "quick" or one_go.recipe.epochs == 600


def test_the_paper_tier_is_the_papers_figure() -> None:
    rules = MERGE["paper"]
    specs = {name: datasets.describe(name) for name in rules.default_datasets}
    request = Request(methods=("apm",), specs=specs, checksums={}, seeds=1, tracks=("native",))
    counts = [(t.distillation.dataset, t.budget.count, len(t.sources)) for t in rules.plan(request)]
    assert counts == [
        *(("cifar10", 50, merged) for merged in range(1, 11)),
        ("cifar10", 500, 1),
        *(("tiny-imagenet", 10, merged) for merged in range(1, 6)),
        ("tiny-imagenet", 50, 1),
    ]


@pytest.mark.parametrize("method", ["whole", "dim"])
def test_what_is_no_set_of_images_is_not_planned(method: str) -> None:
    assert plan(method) == []


def test_other_datasets_merge_as_many_groups_as_the_rules_say() -> None:
    trials = plan(specs={"tiny": SPEC}, budgets=(Budget("ipc", 3),))
    assert [(t.budget.count, len(t.sources)) for t in trials] == [
        *((3, merged) for merged in range(1, QUICK.other_groups + 1)),
        (3 * QUICK.other_groups, 1),
    ]


# the study


def record(trial: Trial, accuracy: float, seconds: float = 1.0) -> Record:
    costs = Costs(distill=Cost(seconds=seconds, peak_bytes=0))
    return record_of(trial, accuracy, cost=costs)


def records(all_merged: Sequence[float], one_go: Sequence[float], method: str) -> list[Record]:
    """Repetitions in which fewer groups than all give 0.5."""
    made = []
    for trial in plan(method, seeds=len(one_go)):
        merged = len(trial.sources)
        value = 0.5 if merged < 5 else all_merged[trial.seed]
        value = one_go[trial.seed] if trial.budget.count == 10 else value
        made.append(record(trial, value, seconds=3.0 * merged))
    return made


def study(found: Iterable[Record]) -> Study:
    (one,) = QUICK.studies(list(found))
    return one


def column(found: Study, name: str) -> dict[tuple[str, str], Any]:
    """A column's cells by method and sets."""
    place = [head.name for head in found.columns].index(name)
    return {(str(row[0]), str(row[1])): row[place] for row in found.rows}


BETTER, EQUAL, WORSE = (0.91, 0.92, 0.93), (0.81, 0.82, 0.83), (0.61, 0.62, 0.63)


def test_repetitions_are_gathered_by_how_many_groups_were_merged() -> None:
    """Not by the seeds of the groups, which no two repetitions share."""
    found = study(records(BETTER, EQUAL, "dm"))
    assert column(found, "Accuracy %") == {
        ("dm", "1 × 2"): Estimate.of([0.5] * 3),
        ("dm", "2 × 2"): Estimate.of([0.5] * 3),
        ("dm", "3 × 2"): Estimate.of([0.5] * 3),
        ("dm", "4 × 2"): Estimate.of([0.5] * 3),
        ("dm", "1 × 10"): Estimate.of(EQUAL),
        ("dm", "5 × 2"): Estimate.of(BETTER),
    }
    assert column(found, "Distillation")["dm", "5 × 2"] == 15


def test_merged_sets_are_compared_with_as_many_images_in_one_go() -> None:
    found = study(records(BETTER, EQUAL, "dm"))
    test = welch(BETTER, EQUAL)
    differences = column(found, "Minus one go")
    assert differences.pop(("dm", "5 × 2")) == Estimate(
        value=test.difference, interval=test.interval, n=3
    )
    assert set(differences.values()) == {None}


@pytest.mark.parametrize(
    ("merged", "verdict"),
    [
        (BETTER, "merging gains"),
        (WORSE, "merging loses"),
        (EQUAL, "no difference shown; at most 2.3 points"),
    ],
)
def test_the_verdict_says_what_the_test_shows(merged: Sequence[float], verdict: str) -> None:
    found = study(records(merged, EQUAL, "dm"))
    assert column(found, "Verdict")["dm", "5 × 2"] == verdict


def test_one_repetition_allows_no_verdict() -> None:
    found = study(records([0.9], [0.8], "dm"))
    assert column(found, "Verdict")["dm", "5 × 2"] == "one repetition allows no test"


def test_verdicts_of_several_methods_are_corrected_together() -> None:
    """A difference of p = 0.03 alone is none among three methods."""
    slight = (0.836, 0.846, 0.856)
    p = welch(slight, EQUAL).p
    assert p is not None
    assert 0.05 / 3 < p < 0.05, p
    alone = study(records(slight, EQUAL, "dm"))
    assert column(alone, "Verdict")["dm", "5 × 2"] == "merging gains"
    among = study(
        [*records(slight, EQUAL, "dm"), *records(EQUAL, EQUAL, "dc"), *records(EQUAL, EQUAL, "mtt")]
    )
    assert column(among, "Verdict")["dm", "5 × 2"].startswith("no difference shown")


def test_a_reference_of_another_method_is_no_reference() -> None:
    ours = [one for one in records(BETTER, EQUAL, "dm") if one.trial.budget.count == 2]
    theirs = [one for one in records(BETTER, EQUAL, "dc") if one.trial.budget.count == 10]
    assert set(column(study([*ours, *theirs]), "Verdict").values()) == {None}


def test_several_budgets_do_not_mix() -> None:
    """One set of ten images a class is a reference of five of two, and a group of its own."""
    trials = plan(budgets=(Budget("ipc", 2), Budget("ipc", 10)))
    found = study(record(trial, 0.5) for trial in {trial.id: trial for trial in trials}.values())
    assert list(column(found, "Accuracy %")) == [
        *(("dm", f"{merged} × 2") for merged in (1, 2, 3, 4)),
        *(("dm", "1 × 10"), ("dm", "5 × 2")),
        *(("dm", f"{merged} × 10") for merged in (2, 3, 4)),
        *(("dm", "1 × 50"), ("dm", "5 × 10")),
    ]


def test_all_students_of_a_cell_see_one_pixel_space() -> None:
    """TESLA whitens CIFAR-10 at 10 images per class and not at 100."""
    rules = MERGE["paper"]
    request = Request(
        methods=("tesla",),
        specs={"cifar10": datasets.describe("cifar10")},
        checksums={},
        budgets=(Budget("ipc", 10),),
        seeds=1,
        tracks=("native",),
    )
    trials = list(rules.plan(request))
    assert len({trial.distillation.preprocessing for trial in trials}) == 1
    assert len({trial.recipe for trial in trials}) == 1
