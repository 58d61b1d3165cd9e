"""``label-robust``: what is planned, whose labels a student learns from, and the scores by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats

from bench.data import SyntheticSet
from bench.exam import Entry, Exam
from bench.experts import Experts
from bench.planning import Request
from bench.randomness import generator
from bench.recipes import Recipe
from bench.records import Record
from bench.references import BEST_NOTE, GENERATED_NOTE, SHARED_NOTE
from bench.scores import robustness
from bench.specs import Budget
from bench.studies import Cell, Estimate, Study
from bench.teachers import soft_labels
from bench.trials import TIERS, Tier, Trial
from protocols.label_robust import LABEL_ROBUST, QUICK, LabelRobust
from tests.fakes import NETWORK, SPEC, exam, tiny_pair, watched
from tests.records import record_of

SEEDS = 3
SMALL = replace(
    QUICK, networks=((8, NETWORK),), recipe=Recipe(epochs=2), teacher=Recipe(epochs=1, lr=0.05)
)


def plan(*methods: str, rules: LabelRobust = QUICK, **changes: Any) -> list[Trial]:
    given: dict[str, Any] = {
        "methods": methods,
        "specs": {"tiny": SPEC},
        "checksums": {},
        "budgets": (Budget("ipc", 10),),
        "seeds": SEEDS,
    }
    return list(rules.plan(Request(**given | changes)))


def students(trials: Sequence[Trial], method: str) -> Counter[tuple[str, str]]:
    """Repetitions of a method by track and kind of labels."""
    return Counter(
        (trial.track, trial.recipe.labels)
        for trial in trials
        if trial.distillation.method == method
    )


# plan


def test_references_are_planned_whatever_was_asked_for() -> None:
    trials = plan("dm")
    assert {trial.distillation.method for trial in trials} == {
        "dm",
        "random",
        "label-only",
        "whole",
    }
    assert {trial.id for trial in plan("dm", "whole", "random")} == {trial.id for trial in trials}


def test_the_whole_set_alone_needs_no_reference() -> None:
    assert {trial.distillation.method for trial in plan("whole")} == {"whole"}


def test_references_have_as_many_images_as_a_generator_draws() -> None:
    budgets = {
        (trial.distillation.method, trial.budget)
        for trial in plan("dim", budgets=(Budget("inpc", 7),))
    }
    assert budgets == {
        ("dim", Budget("inpc", 7)),
        ("random", Budget("ipc", 7)),
        ("label-only", Budget("ipc", 7)),
        ("whole", Budget("full", 0)),
    }


def test_every_kind_of_labels_has_its_students() -> None:
    trials = plan("dm", "apm")
    hard_labels = {("standard", "own"): SEEDS, ("standard", "teacher"): SEEDS}
    assert students(trials, "dm") == hard_labels | {("native", "own"): SEEDS}
    soft_labels = hard_labels | {("standard", "hard"): SEEDS, ("native", "own"): SEEDS}
    assert students(trials, "apm") == students(trials, "label-only") == soft_labels


def test_soft_labels_that_the_user_turns_on_have_a_hard_student() -> None:
    trials = plan("tesla", changes={"tesla": {"soft_labels": True}})
    assert students(trials, "tesla") == students(trials, "label-only")


def test_soft_labels_that_a_preset_turns_on_have_a_hard_student() -> None:
    trials = plan("tesla", specs={"imagenet-1k-64": SPEC})  # TESLA, table 6
    assert students(trials, "tesla") == students(trials, "label-only")
    unchanged = plan("tesla", changes={"tesla": {"soft_labels": False}})
    assert ("standard", "hard") not in students(unchanged, "tesla")


def test_the_standard_track_has_one_recipe_but_for_the_labels() -> None:
    trials = [trial for trial in plan("apm", "datm", tracks=("standard",)) if trial.budget.count]
    assert {replace(trial.recipe, labels="own") for trial in trials} == {QUICK.recipe}
    assert {trial.recipe.loss for trial in trials} == {"cross-entropy"}
    assert {trial.track for trial in trials} == {"standard"}


def test_the_ceiling_has_its_own_labels_and_epochs_in_any_track() -> None:
    whole = [trial for trial in plan("dm", tracks=("native",)) if not trial.budget.count]
    assert students(whole, "whole") == {("standard", "own"): SEEDS}
    assert {trial.recipe.epochs for trial in whole} == {QUICK.whole_epochs}


def test_a_set_is_distilled_once_for_all_kinds_of_labels() -> None:
    trials = [trial for trial in plan("apm") if trial.distillation.method == "apm"]
    assert len({trial.distillation.key for trial in trials}) == SEEDS


def test_an_unchanged_native_track_trains_no_second_student() -> None:
    trials = [
        trial for trial in plan("random") if trial.recipe.labels == "own" and trial.budget.count
    ]
    random = [trial for trial in trials if trial.distillation.method == "random"]
    assert len({trial.evaluation_key for trial in random}) == len(random) / 2 == SEEDS


@pytest.mark.parametrize("tier", TIERS)
def test_teachers_are_those_of_label_only(tier: Tier) -> None:
    """So that both take them from the same expert buffers."""
    rules = LABEL_ROBUST[tier]
    (parameters,) = {
        tuple(sorted(trial.distillation.parameters.items()))
        for trial in plan("label-only", rules=rules)
        if trial.distillation.method == "label-only"
    }
    found = dict(parameters)
    assert rules.teacher == Recipe(
        epochs=found["teacher_epochs"],
        lr=found["teacher_lr"],
        augmentation=found["teacher_augmentation"],
    )
    assert rules.teachers <= found["experts"]


# students


def a_set(soft: bool = False) -> SyntheticSet:
    rng = generator("a set")
    labels = torch.arange(3).repeat_interleave(2)
    return SyntheticSet(
        images=torch.randn(6, *SPEC.shape, generator=rng),
        labels=torch.randn(6, 3, generator=rng) if soft else labels,
    )


def a_trial(labels: str, seed: int) -> Trial:
    (trial, *_) = [
        trial
        for trial in plan("apm", rules=SMALL, seeds=20)
        if trial.recipe.labels == labels
        and trial.seed == seed
        and trial.track == "standard"
        and trial.budget.count
    ]
    return trial


@pytest.mark.parametrize("seed", [2, 7])
def test_a_teachers_labels_come_from_the_repetitions_teacher(seed: int, tmp_path: Path) -> None:
    seen = exam(tiny_pair(), tmp_path)
    (ours,) = SMALL.evaluate([Entry(a_trial("teacher", seed), a_set())], seen)
    teacher = seen.experts.teacher(NETWORK, SMALL.teacher, 2)  # 7 mod 5 is 2 as well
    taught = replace(a_set(), labels=soft_labels(teacher, a_set().images))
    theirs = seen.score(taught, NETWORK, SMALL.recipe, seed)
    assert (ours.loss, ours.correct) == (theirs.loss, theirs.correct)


def test_hard_labels_are_the_likeliest_classes(tmp_path: Path) -> None:
    seen, soft = exam(tiny_pair(), tmp_path), a_set(soft=True)
    (ours,) = SMALL.evaluate([Entry(a_trial("hard", 0), soft)], seen)
    theirs = seen.score(replace(soft, labels=soft.labels.argmax(1)), NETWORK, SMALL.recipe, 0)
    assert (ours.loss, ours.correct) == (theirs.loss, theirs.correct)
    assert not list(tmp_path.glob("*.safetensors"))  # no teacher was trained


@pytest.mark.parametrize("labels", ["own", "hard", "teacher"])
def test_test_images_are_read_once_after_the_last_epoch(labels: str, tmp_path: Path) -> None:
    pair = tiny_pair()
    test = watched(pair.test)
    log = test.log
    seen = Exam(
        test=test,
        experts=Experts(folder=tmp_path, real=pair.train),
        report=lambda seed, done, epochs: log.append("epoch"),
    )
    SMALL.evaluate([Entry(a_trial(labels, 0), a_set(soft=True))], seen)
    assert log == ["epoch"] * SMALL.recipe.epochs + ["read"]
    assert test.reads == [len(pair.test)]


# studies

WHOLE = (0.95, 0.96, 0.94)
RANDOM = (0.60, 0.62, 0.61)
LABEL_ONLY = (0.70, 0.69, 0.71)
APM: dict[tuple[str, str], tuple[float, ...]] = {
    ("standard", "hard"): (0.50, 0.52, 0.51),
    ("standard", "own"): (0.55, 0.56, 0.57),
    ("standard", "teacher"): (0.65, 0.66, 0.64),
    ("native", "own"): (0.75, 0.79, 0.77),
}


def accuracy(trial: Trial) -> float:
    method, column = trial.distillation.method, (trial.track, trial.recipe.labels)
    flat: Mapping[str, tuple[float, ...]] = {
        "whole": WHOLE,
        "random": RANDOM,
        "label-only": LABEL_ONLY,
    }
    return (APM[column] if method == "apm" else flat[method])[trial.seed]


def record(trial: Trial, **facts: Any) -> Record:
    soft = trial.distillation.method in ("apm", "label-only")
    metrics = {"accuracy": accuracy(trial)}
    return record_of(trial, **{"labels": "soft" if soft else "hard", "metrics": metrics, **facts})


RECORDS = [record(trial) for trial in plan("apm")]


def row(study: Study, method: str) -> dict[str, Cell]:
    """Cells of a method's row by column, without those that name it."""
    (cells,) = [cells for cells in study.rows if cells[1] == method]
    return {column.name: cell for column, cell in zip(study.columns[2:], cells[2:], strict=True)}


def estimate(cell: Cell) -> Estimate:
    assert isinstance(cell, Estimate)
    return cell


def test_columns_hold_the_labels_that_they_name() -> None:
    accuracies, _ = QUICK.studies(RECORDS)
    found = [estimate(cell).value for cell in row(accuracies, "apm").values()]
    assert found == pytest.approx([0.51, 0.56, 0.65, 0.77])
    assert row(accuracies, "random")["Stored soft labels %"] is None
    assert estimate(row(accuracies, "random")["Hard labels %"]).value == pytest.approx(0.61)
    assert estimate(row(accuracies, "whole")["Hard labels %"]).value == pytest.approx(0.95)


def test_scores_by_hand() -> None:
    _, scores = QUICK.studies(RECORDS)
    found = row(scores, "apm")
    assert estimate(found["HLR"]).value == pytest.approx(0.95 - 0.51)
    assert estimate(found["IOR"]).value == pytest.approx(0.77 - 0.61)
    assert estimate(found["Over label-only"]).value == pytest.approx(0.77 - 0.70)
    alpha = 0.5 * (0.77 - 0.61) - 0.5 * (0.95 - 0.51)
    assert estimate(found["LRS"]).value == pytest.approx(robustness(alpha))
    assert estimate(row(scores, "random")["IOR"]).value == 0
    assert "whole" not in [cells[1] for cells in scores.rows]


def test_intervals_rest_on_the_differences_within_repetitions() -> None:
    _, scores = QUICK.studies(RECORDS)
    found = row(scores, "apm")
    hlr = [w - h for w, h in zip(WHOLE, APM["standard", "hard"], strict=True)]
    ior = [n - r for n, r in zip(APM["native", "own"], RANDOM, strict=True)]
    alpha = [0.5 * i - 0.5 * h for i, h in zip(ior, hlr, strict=True)]
    for name, values in (("HLR", hlr), ("IOR", ior)):
        interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert estimate(found[name]).interval == pytest.approx(tuple(interval))
    interval = stats.ttest_1samp(alpha, 0).confidence_interval(0.95)
    expected = tuple(robustness(max(-1, min(1, end))) for end in interval)
    assert estimate(found["LRS"]).interval == pytest.approx(expected)


def test_references_cancel_in_the_difference_from_the_best_row() -> None:
    _, scores = QUICK.studies(RECORDS)
    best = max(
        ("apm", "random", "label-only"), key=lambda name: estimate(row(scores, name)["LRS"]).value
    )
    assert best != "apm"
    theirs = {"random": (RANDOM, RANDOM), "label-only": (LABEL_ONLY, LABEL_ONLY)}[best]
    ours = (APM["native", "own"], APM["standard", "hard"])
    parts = zip(*ours, *theirs, strict=True)
    differences = [0.5 * (n - m) + 0.5 * (h - g) for n, h, m, g in parts]
    found = estimate(row(scores, "apm")["α minus the best"])
    assert found.value == pytest.approx(sum(differences) / SEEDS)
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert found.interval == pytest.approx(tuple(interval))
    assert estimate(row(scores, best)["α minus the best"]).value == 0
    assert {SHARED_NOTE, BEST_NOTE} <= set(scores.notes)


def test_rows_of_generated_images_are_told_to_be_compared_with_stored_ones() -> None:
    _, scores = QUICK.studies(RECORDS)
    assert GENERATED_NOTE not in scores.notes
    where = {"budget": Budget("inpc", 10)}
    drawn = RECORDS[-1].model_copy(update={"trial": RECORDS[-1].trial.model_copy(update=where)})
    _, scores = QUICK.studies([*RECORDS, drawn])
    assert GENERATED_NOTE in scores.notes


def test_only_repetitions_that_all_parts_share_count() -> None:
    late = [r for r in RECORDS if not (r.method.name == "whole" and r.trial.evaluation_seed == 1)]
    accuracies, scores = QUICK.studies(late)
    found = row(scores, "apm")
    assert estimate(found["LRS"]).n == estimate(found["HLR"]).n == 2
    assert estimate(found["HLR"]).value == pytest.approx((0.45 + 0.43) / 2)
    assert estimate(found["IOR"]).n == 3
    assert "whole, full: hard labels 2 of 3 repetitions so far." in accuracies.notes
    assert any(note.startswith("3 of the 5 repetitions") for note in accuracies.notes)


@pytest.mark.parametrize(
    ("missing", "score"), [("whole", "HLR"), ("random", "IOR"), ("label-only", "Over label-only")]
)
def test_what_is_missing_is_said(missing: str, score: str) -> None:
    _, complete = QUICK.studies(RECORDS)
    assert not any("No result" in note for note in complete.notes)
    _, scores = QUICK.studies([r for r in RECORDS if r.method.name != missing])
    found = row(scores, "apm")
    assert found[score] is None
    assert (found["LRS"] is None) == (missing != "label-only")
    assert any(f"No result of {missing} yet at 10 images" in note for note in scores.notes)


def test_a_reference_with_changed_parameters_is_none() -> None:
    references = [r for r in RECORDS if r.method.name == "label-only"]
    parameters = references[0].method.parameters | {"experts": 2}
    facts = references[0].method.model_copy(update={"parameters": parameters})
    changed = [r.model_copy(update={"method": facts}) for r in references]
    others = [r for r in RECORDS if r.method.name != "label-only"]
    _, scores = QUICK.studies([*others, *changed])
    assert row(scores, "apm")["Over label-only"] is None
    assert row(scores, "label-only (experts=2)")["IOR"] is not None


def test_a_failed_student_leaves_a_gap_and_a_note() -> None:
    ends: dict[str, Any] = {"status": "diverged", "reason": "the loss became nan", "metrics": {}}
    records = [
        record(trial, **ends if trial.distillation.method == "apm" else {}) for trial in plan("apm")
    ]
    accuracies, scores = QUICK.studies(records)
    assert set(row(accuracies, "apm").values()) == set(row(scores, "apm").values()) == {None}
    assert any("apm: 12 × diverged, the loss became nan" in note for note in accuracies.notes)
