"""``nas201``: the committed cells, who is trained for what, and the ranks by hand."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats

from bench import augment, datasets, nas, nas_table, networks, runner
from bench.errors import InvalidValue, MissingData
from bench.exam import Entry
from bench.nas import Cell
from bench.nas_table import SHORT, TRUTH, Tabulated
from bench.planning import Request
from bench.randomness import generator
from bench.recipes import Recipe
from bench.records import Record
from bench.runner import Options
from bench.specs import Budget
from bench.studies import Estimate, Study
from bench.trials import TIERS, Tier, Trial
from protocols import nas201
from protocols.nas201 import CELLS, LITE, NAS201, PAPER, QUICK, Nas201
from tests.conftest import Install
from tests.fakes import SPEC, exam, tiny_pair
from tests.records import record_of

TEN = Budget("ipc", 10)
SMALL = replace(QUICK, cells=CELLS[:6], top=2)
TINY_TABLE = Tabulated(
    dataset="tiny", truth="cifar10_test_200", short="cifar10_test_12", validation="cifar10_valid_12"
)
TABULATED = replace(SMALL, tabulated=(TINY_TABLE,))


def plan(rules: Nas201, *methods: str, **changes: Any) -> list[Trial]:
    given: dict[str, Any] = {
        "methods": methods or ("random",),
        "specs": {"tiny": SPEC},
        "checksums": {},
        "budgets": (TEN,),
        "seeds": 3,
    }
    return list(rules.plan(Request(**given | changes)))


# the cells


def test_the_committed_cells_are_the_documented_draw() -> None:
    every = list(nas.every_cell())
    order = torch.randperm(len(every), generator=generator("nas201", "cells"))
    drawn: dict[str, str] = {}
    for place in order.tolist():
        drawn.setdefault(every[place].function, every[place].code)
    assert tuple(drawn.values())[:100] == CELLS


def test_tiers_take_the_first_cells_and_no_two_compute_the_same() -> None:
    counts = {tier: len(rules.cells) for tier, rules in NAS201.items()}
    assert counts == {"quick": 20, "lite": 50, "paper": 100}
    assert all(rules.cells == CELLS[: len(rules.cells)] for rules in NAS201.values())
    assert len({Cell.from_code(code).function for code in CELLS}) == 100


@pytest.mark.parametrize("tier", TIERS)
def test_every_name_in_the_rules_means_something(tier: Tier) -> None:
    rules = NAS201[tier]
    for dataset in rules.default_datasets:
        spec = datasets.describe(dataset)
        assert networks.count_parameters(rules.architecture(rules.cells[0]), spec) > 0
        augment.build(rules.recipe.augmentation, spec)
        augment.build(rules.truth.augmentation, spec)
    for found in rules.tabulated:
        datasets.describe(found.dataset)


def test_the_paper_tier_is_the_papers() -> None:
    """Hundred cells, 200 epochs, 50 images a class; the skeleton of NAS-Bench-201."""
    assert (len(PAPER.cells), PAPER.recipe.epochs, PAPER.grid) == (100, 200, (("cifar10", (50,)),))
    name = PAPER.architecture("333333")
    assert networks.count_parameters(name, datasets.describe("cifar10")) == 1_531_546


@pytest.mark.parametrize(("rules", "images"), [(QUICK, 1347), (LITE, 60_000), (PAPER, 50_000)])
def test_the_whole_set_is_trained_on_for_about_as_many_steps(rules: Nas201, images: int) -> None:
    (_, (ipc,)), *_ = rules.grid
    steps = rules.recipe.epochs * math.ceil(10 * ipc / rules.recipe.batch)
    whole = rules.whole_epochs * math.ceil(images / rules.recipe.batch)
    assert whole == pytest.approx(steps, rel=0.2)


# the plan


def test_every_cell_learns_from_the_truth_the_references_and_what_was_asked_for() -> None:
    short = replace(SMALL.recipe, epochs=SMALL.whole_epochs)
    counted = Counter(
        (trial.distillation.method, str(trial.budget), trial.recipe) for trial in plan(SMALL, "dm")
    )
    assert counted == {
        ("whole", "full", SMALL.truth): 3 * 6,
        ("whole", "full", short): 3 * 6,
        ("random", "ipc 10", SMALL.recipe): 3 * 6,
        ("dm", "ipc 10", SMALL.recipe): 3 * 6,
    }
    assert {trial.architecture for trial in plan(SMALL)} == {
        f"nas201-c4-n1-{code}" for code in SMALL.cells
    }


def test_the_truth_is_measured_first() -> None:
    first = plan(SMALL, "dm")[: 3 * 6]
    assert {trial.recipe for trial in first} == {SMALL.truth}


def test_the_truth_is_not_measured_where_it_is_tabulated() -> None:
    assert SMALL.truth not in {trial.recipe for trial in plan(TABULATED, "dm", "whole")}
    assert {trial.distillation.method for trial in plan(TABULATED, "dm")} == {
        *("dm", "random", "whole")
    }


def test_there_is_no_native_track() -> None:
    assert {trial.track for trial in plan(QUICK, "dc")} == {"standard"}
    with pytest.raises(InvalidValue, match="standard track alone; leave out --track"):
        plan(QUICK, tracks=("native",))


# the tabulated truth


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterable[None]:
    """A table of the small rules' cells under the data root."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    columns = ("cifar10_test_200", "cifar10_test_12", "cifar10_valid_12")
    nas_table.write(
        tmp_path / nas_table.FILE_NAME,
        {
            str(Cell.from_code(code)): {
                name: 90.0 - 10 * place - index for place, name in enumerate(columns)
            }
            for index, code in enumerate(SMALL.cells)
        },
    )
    nas201._table.cache_clear()
    yield
    nas201._table.cache_clear()


@pytest.mark.parametrize(
    ("split", "noted"),
    [("test", {TRUTH: 0.87, SHORT: 0.77}), ("validation", {TRUTH: 0.67})],
)
def test_students_note_the_truth_of_their_split(
    table: None, tmp_path: Path, split: Any, noted: dict[str, float]
) -> None:
    trial = plan(TABULATED, split=split)[3]
    trial = replace(trial, recipe=Recipe(epochs=1, augmentation="none"))
    pair = tiny_pair()
    (outcome,) = TABULATED.evaluate([Entry(trial, pair.train)], exam(pair, tmp_path))
    assert outcome.metrics == pytest.approx(noted)
    (plain,) = SMALL.evaluate([Entry(trial, pair.train)], exam(pair, tmp_path))
    assert plain.accuracy == outcome.accuracy
    assert plain.metrics == {}


TABULATED_DIGITS = {"quick": replace(SMALL, tabulated=(replace(TINY_TABLE, dataset="digits"),))}


def test_a_missing_table_is_said_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Install
) -> None:
    install({"protocols": {"tabulated": f"{__name__}:TABULATED_DIGITS"}})
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    nas201._table.cache_clear()
    asked = Options(protocol="tabulated", methods=("random",))
    with pytest.raises(MissingData, match=r"bench data convert nas-bench-201.*--data-root"):
        runner.plan(asked)
    assert runner.plan(asked, read_data=False).jobs  # a dry run says what there is to do


def test_a_measured_truth_needs_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    nas201._table.cache_clear()
    assert runner.plan(Options(protocol="nas201", methods=("random",))).jobs


# the studies


ORDERS = {
    "truth": [0.90, 0.80, 0.70, 0.60, 0.50, 0.10],
    "whole": [0.85, 0.80, 0.60, 0.65, 0.40, 0.10],
    "random": [0.50, 0.60, 0.30, 0.40, 0.20, 0.10],
    "dm": [0.20, 0.50, 0.60, 0.30, 0.40, 0.10],
}


def outcome(trial: Trial, metrics: Mapping[str, float]) -> Record:
    return record_of(trial, metrics=metrics)


def accuracy(rules: Nas201, trial: Trial) -> float:
    """By ``ORDERS``; seeds differ by noise that their mean is free of."""
    row = "truth" if trial.recipe == rules.truth else trial.distillation.method
    place = rules.cells.index(nas201.code_of(trial.architecture))
    return ORDERS[row][place] + 0.01 * (trial.seed % rules.truth_seeds_after - 1)


def made(rules: Nas201, *methods: str) -> list[Record]:
    return [outcome(trial, {"accuracy": accuracy(rules, trial)}) for trial in plan(rules, *methods)]


def rows(study: Study) -> dict[str, tuple[Any, ...]]:
    return {str(row[0]): row[1:] for row in study.rows}


@pytest.mark.parametrize("name", ["whole", "random", "dm"])
def test_agreement_is_that_of_scipy(name: str) -> None:
    (study,) = SMALL.studies(made(SMALL, "dm"))
    spearman, kendall, _, mean, cells, seeds = rows(study)[name]
    assert isinstance(spearman, Estimate)
    assert isinstance(kendall, Estimate)
    ours, truth = ORDERS[name], ORDERS["truth"]
    assert spearman.value == pytest.approx(stats.spearmanr(ours, truth).statistic)
    assert kendall.value == pytest.approx(stats.kendalltau(ours, truth).statistic)
    assert spearman.interval is not None
    assert spearman.interval[0] <= spearman.value <= spearman.interval[1]
    assert mean == pytest.approx(sum(ours) / 6)
    assert (cells, seeds) == (6, 3)


def test_the_best_two_of_each_row_are_compared() -> None:
    (study,) = SMALL.studies(made(SMALL, "dm"))
    assert {name: cells[2] for name, cells in rows(study).items()} == {
        "dm": 0.5,
        "random": 1.0,
        "whole": 1.0,
    }


def test_the_whole_set_closes_the_table_and_the_truth_is_no_row() -> None:
    (study,) = SMALL.studies(made(SMALL, "dm"))
    assert list(rows(study)) == ["dm", "random", "whole"]
    assert study.title == "Ranking cells of NAS-Bench-201: tiny, ipc 10"
    notes = " ".join(study.notes)
    assert "Ground truth: 6 epochs on the whole training set; C = 4, N = 1." in notes
    assert "agree with a Spearman of 1.00" in notes
    assert "So far" not in notes


def test_partial_results_are_ranked_over_the_cells_there_are_and_say_so() -> None:
    records = made(SMALL, "dm")
    absent = {
        ("dm", SMALL.cells[0]),
        ("truth", SMALL.cells[1]),
    }
    some = [
        found
        for found in records
        if (
            "truth" if found.recipe == SMALL.truth.as_dict() else found.method.name,
            nas201.code_of(found.trial.architecture),
        )
        not in absent
    ]
    (study,) = SMALL.studies(some)
    spearman, *_, cells, _ = rows(study)["dm"]
    expected = stats.spearmanr(ORDERS["dm"][2:], ORDERS["truth"][2:]).statistic
    assert isinstance(spearman, Estimate)
    assert spearman.value == pytest.approx(expected)
    assert cells == 4
    assert "So far dm has 5 of 6 cells." in study.notes
    assert "So far the ground truth has 5 of 6 cells." in study.notes


def test_without_a_truth_there_is_no_agreement_yet() -> None:
    students = [found for found in made(SMALL, "dm") if found.recipe != SMALL.truth.as_dict()]
    (study,) = SMALL.studies(students)
    assert rows(study)["dm"] == (None, None, None, None, 0, 3)
    assert "So far the ground truth has 0 of 6 cells." in study.notes


def test_the_ground_truth_is_that_of_its_own_recipe_by_architecture() -> None:
    records = made(SMALL, "dm")
    found = SMALL.ground_truth(records)
    assert found.title == "6 epochs on the whole training set"
    named = {
        SMALL.architecture(code): v for code, v in zip(SMALL.cells, ORDERS["truth"], strict=True)
    }
    assert found.accuracies == pytest.approx(named)
    measured = [record for record in records if SMALL.measures_truth(record)]
    assert {record.method.name for record in measured} == {"whole"}
    assert len(measured) == 6 * 3 < sum(r.method.name == "whole" for r in records)


def test_before_any_set_is_ranked_there_is_no_table() -> None:
    assert SMALL.studies([]) == []
    assert SMALL.studies([outcome(plan(SMALL)[0], {"accuracy": 0.5})]) == []


def test_diverged_cells_are_left_out_and_told() -> None:
    broken = SMALL.architecture(SMALL.cells[2])
    trials = plan(SMALL, "dm")
    fine = made(SMALL, "dm")
    records = [
        record_of(trial, status="diverged", reason="because")
        if (trial.distillation.method, trial.architecture) == ("dm", broken)
        else found
        for trial, found in zip(trials, fine, strict=True)
    ]
    (study,) = SMALL.studies(records)
    assert rows(study)["dm"][-2:] == (5, 3)
    assert "dm: 3 × diverged, because." in study.notes


def test_a_tabulated_truth_is_read_from_the_records_with_its_short_column() -> None:
    short = [0.8, 0.9, 0.5, 0.4, 0.3, 0.1]
    records = []
    for trial in plan(TABULATED, "dm"):
        place = TABULATED.cells.index(nas201.code_of(trial.architecture))
        noted = {TRUTH: ORDERS["truth"][place], SHORT: short[place]}
        records.append(outcome(trial, {"accuracy": accuracy(TABULATED, trial)} | noted))
    (study,) = TABULATED.studies(records)
    assert list(rows(study)) == ["dm", "random", "whole", "12 epochs, tabulated"]
    for name, ours in (("12 epochs, tabulated", short), ("dm", ORDERS["dm"])):
        spearman = rows(study)[name][0]
        assert isinstance(spearman, Estimate)
        assert spearman.value == pytest.approx(stats.spearmanr(ours, ORDERS["truth"]).statistic)
    assert any("the table of NAS-Bench-201, whose networks have C = 16" in n for n in study.notes)
    truth = TABULATED.ground_truth(records)
    assert truth.title == "the table of NAS-Bench-201"
    assert list(truth.accuracies.values()) == pytest.approx(ORDERS["truth"])
    assert not any(map(TABULATED.measures_truth, records))
