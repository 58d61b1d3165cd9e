"""``aug-robust``: one recipe of which the augmentation alone changes, and the scores by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from scipy import stats

from bench import augment, runner
from bench.data import SyntheticSet
from bench.errors import InvalidValue
from bench.exam import Entry, Exam
from bench.experts import Experts
from bench.planning import Request
from bench.randomness import generator
from bench.recipes import Mixing, Recipe
from bench.records import Record
from bench.references import BEST_NOTE, GENERATED_NOTE, SHARED_NOTE
from bench.scores import robustness
from bench.specs import Budget
from bench.studies import Cell, Estimate, Study
from bench.trials import TIERS, Tier, Trial
from protocols.aug_robust import AUG_ROBUST, QUICK
from tests.fakes import NETWORK, SPEC, exam, tiny_pair, watched
from tests.records import record_of

SEEDS = 3
FAMILIES = ("none", "dsa", "crop-flip", "randaugment", "autoaugment", "cutmix", "mixup")


def plan(*methods: str, **changes: Any) -> list[Trial]:
    given: dict[str, Any] = {
        "methods": methods,
        "specs": {"tiny": SPEC},
        "checksums": {},
        "budgets": (Budget("ipc", 10),),
        "seeds": SEEDS,
    }
    return list(QUICK.plan(Request(**given | changes)))


def family(trial: Trial) -> str:
    mixing = trial.recipe.mixing
    return trial.recipe.augmentation if mixing == "none" else mixing


# plan


@pytest.mark.parametrize("tier", TIERS)
def test_every_family_is_an_augmentation_or_a_mixing(tier: Tier) -> None:
    families = AUG_ROBUST[tier].families
    assert families == FAMILIES
    assert set(families) <= {*augment.names(), *get_args(Mixing)}


def test_every_family_has_its_students_and_random_its_own() -> None:
    trials = plan("dm")
    cells = Counter((trial.distillation.method, family(trial)) for trial in trials)
    assert cells == {(method, name): SEEDS for method in ("random", "dm") for name in FAMILIES}
    assert {trial.id for trial in plan("dm", "random")} == {trial.id for trial in trials}
    assert len({trial.distillation.key for trial in trials}) == 2 * SEEDS


def test_the_augmentation_alone_differs() -> None:
    recipes = {trial.recipe for trial in plan("dm")}
    assert len(recipes) == len(FAMILIES)
    for recipe in recipes:
        assert recipe.mixing == "none" or recipe.augmentation == "none"
        assert replace(recipe, augmentation="dsa", mixing="none") == QUICK.recipe


def test_the_ceiling_has_its_own_epochs() -> None:
    trials = plan("dm", "whole")
    epochs = {(trial.distillation.method, trial.recipe.epochs) for trial in trials}
    assert epochs == {("random", 300), ("dm", 300), ("whole", 100)}


def test_there_is_no_native_track() -> None:
    assert {trial.track for trial in plan("apm")} == {"standard"}
    with pytest.raises(InvalidValue, match="leave out --track native"):
        plan("apm", tracks=("native",))


def test_a_run_without_named_methods_is_small_in_the_quick_tier_only() -> None:
    quick, lite = (
        {
            trial.distillation.method
            for trial in runner.plan(
                runner.Options(protocol="aug-robust", tier=tier), read_data=False
            ).trials
        }
        for tier in ("quick", "lite")
    )
    assert quick == {"random", "herding", "dm"}
    assert quick < lite


# students


@pytest.mark.parametrize("name", FAMILIES)
def test_a_student_is_trained_under_its_family_and_tested_once(name: str, tmp_path: Path) -> None:
    pair = tiny_pair()
    (trial, *_) = [trial for trial in plan("dm") if family(trial) == name]
    trial = replace(
        trial, architecture=NETWORK, recipe=replace(trial.recipe, epochs=2, batch=4), seed=5
    )
    source = SyntheticSet(
        images=torch.randn(6, *SPEC.shape, generator=generator("images")),
        labels=torch.arange(3).repeat_interleave(2),
    )
    test = watched(pair.test)
    seen = Exam(
        test=test,
        experts=Experts(folder=tmp_path, real=pair.train),
        report=lambda seed, done, epochs: test.log.append("epoch"),
    )
    (ours,) = QUICK.evaluate([Entry(trial, source)], seen)
    assert test.log == ["epoch", "epoch", "read"]
    plain = Recipe(epochs=2, batch=4, augmentation="none")
    theirs = exam(pair, tmp_path).score(source, NETWORK, plain, 5)
    assert (ours.loss == theirs.loss) == (name == "none")


# studies

RANDOM = dict.fromkeys(FAMILIES, (0.6, 0.62, 0.61)) | {"cutmix": (0.50, 0.49, 0.54)}
DM = dict.fromkeys(FAMILIES, (0.7, 0.73, 0.71)) | {"cutmix": (0.45, 0.47, 0.46)}


def record(trial: Trial) -> Record:
    values = DM if trial.distillation.method == "dm" else RANDOM
    return record_of(trial, values[family(trial)][trial.seed], labels="hard")


RECORDS = [record(trial) for trial in plan("dm")]


def cell(study: Study, method: str, name: str) -> Cell:
    (cells,) = [cells for cells in study.rows if cells[1] == method]
    return cells[[column.name for column in study.columns].index(name)]


def estimate(study: Study, method: str, name: str) -> Estimate:
    found = cell(study, method, name)
    assert isinstance(found, Estimate)
    return found


def test_gains_and_scores_by_hand() -> None:
    accuracies, gains, scores, _ = QUICK.studies(RECORDS)
    assert estimate(accuracies, "dm", "cutmix").value == pytest.approx(0.46)
    assert estimate(gains, "dm", "cutmix").value == pytest.approx(0.46 - 0.51)
    assert estimate(gains, "dm", "none").value == pytest.approx(0.7133333333 - 0.61)
    beta = 0.5 * (0.46 - 0.51) + 0.5 * (0.7133333333 - 0.61)
    assert estimate(scores, "dm", "cutmix").value == pytest.approx(robustness(beta))
    assert estimate(scores, "random", "dsa").value == robustness(0)
    assert "none" not in [column.name for column in scores.columns]


def test_intervals_rest_on_the_differences_within_repetitions() -> None:
    _, gains, scores, _ = QUICK.studies(RECORDS)
    with_it, without = (
        [a - b for a, b in zip(DM[name], RANDOM[name], strict=True)] for name in ("cutmix", "none")
    )
    interval = stats.ttest_1samp(with_it, 0).confidence_interval(0.95)
    assert estimate(gains, "dm", "cutmix").interval == pytest.approx(tuple(interval))
    beta = [0.5 * a + 0.5 * b for a, b in zip(with_it, without, strict=True)]
    interval = stats.ttest_1samp(beta, 0).confidence_interval(0.95)
    assert estimate(scores, "dm", "cutmix").interval == pytest.approx(
        tuple(map(robustness, interval))
    )


def test_references_cancel_in_the_difference_from_the_best_row() -> None:
    *_, scores, behind = QUICK.studies(RECORDS)
    with_it, without = (
        [b - a for a, b in zip(DM[name], RANDOM[name], strict=True)] for name in ("cutmix", "none")
    )
    beta = [0.5 * a + 0.5 * b for a, b in zip(with_it, without, strict=True)]
    assert estimate(behind, "dm", "cutmix").value == 0  # the best: β of random is 0
    assert estimate(behind, "random", "cutmix").value == pytest.approx(sum(beta) / 3)
    interval = stats.ttest_1samp(beta, 0).confidence_interval(0.95)
    assert estimate(behind, "random", "cutmix").interval == pytest.approx(tuple(interval))
    assert SHARED_NOTE in scores.notes
    assert BEST_NOTE in behind.notes


def test_rows_of_generated_images_are_told_to_be_compared_with_stored_ones() -> None:
    for study in QUICK.studies(RECORDS):
        assert GENERATED_NOTE not in study.notes
    where = {"budget": Budget("inpc", 10)}
    drawn = [
        r.model_copy(update={"trial": r.trial.model_copy(update=where)})
        for r in RECORDS
        if r.method.name == "dm"
    ]
    _, gains, scores, behind = QUICK.studies([*RECORDS, *drawn])
    assert GENERATED_NOTE in gains.notes
    assert GENERATED_NOTE in scores.notes
    of_both = [cells[2:] for cells in behind.rows if cells[1] == "dm"]
    assert len(of_both) == 2
    for cells in of_both:  # the same results at the same count
        assert {c.value for c in cells if isinstance(c, Estimate)} == {0.0}


def test_what_is_missing_is_said() -> None:
    few = [r for r in RECORDS if r.recipe["augmentation"] != "dsa" or r.trial.evaluation_seed == 0]
    accuracies, gains, scores, _ = QUICK.studies(few)
    assert estimate(scores, "dm", "dsa").n == 1
    assert "dm, ipc 10: dsa 1 of 3 repetitions so far." in accuracies.notes
    alone = [r for r in RECORDS if r.method.name == "dm"]
    accuracies, gains, scores, _ = QUICK.studies(alone)
    assert estimate(accuracies, "dm", "dsa").n == SEEDS
    for study in (gains, scores):
        assert cell(study, "dm", "dsa") is None
        assert any("No result of random yet at 10 images" in note for note in study.notes)


def test_the_ceiling_is_compared_with_nothing() -> None:
    whole = [
        r.model_copy(
            update={
                "trial": r.trial.model_copy(update={"budget": Budget("full", 0)}),
                "method": r.method.model_copy(update={"name": "whole"}),
            }
        )
        for r in RECORDS
        if r.method.name == "dm"
    ]
    accuracies, gains, scores, _ = QUICK.studies([*RECORDS, *whole])
    assert estimate(accuracies, "whole", "mixup").n == SEEDS
    for study in (gains, scores):
        assert [cells[1] for cells in study.rows] == ["dm", "random"]
