"""``cross-arch``: who trains on what, at which size and recipe, and the transfer gap by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bench import networks
from bench.errors import InvalidValue
from bench.planning import Request
from bench.records import Record, Status
from bench.specs import Budget, DatasetSpec
from bench.studies import Cell, Estimate, Study
from bench.trials import TIERS, Tier, Trial
from protocols.cross_arch import CROSS_ARCH, LITE, PAPER, QUICK, CrossArch
from tests.fakes import SPEC
from tests.records import record_of
from tests.test_planning import TRIAL

SIZES = (8, 16, 28, 32, 64)


def spec(size_px: int) -> DatasetSpec:
    return replace(SPEC, name=f"{size_px} px", size_px=size_px)


def plan(rules: CrossArch, *methods: str, size_px: int = 8, **changes: Any) -> list[Trial]:
    given: dict[str, Any] = {
        "methods": methods or ("random",),
        "specs": {"tiny": spec(size_px)},
        "checksums": {},
        "budgets": (Budget("ipc", 1),),
        "seeds": 2,
    }
    return list(rules.plan(Request(**given | changes)))


# the plan


@pytest.mark.parametrize("tier", TIERS)
def test_every_architecture_learns_once_from_every_distillation(tier: Tier) -> None:
    rules = CROSS_ARCH[tier]
    counted = Counter(
        (trial.distillation.method, trial.seed, trial.track, trial.architecture)
        for trial in plan(rules, "random", "dm", size_px=32)
    )
    students = rules.students(32, rules.network(32))
    assert set(counted.values()) == {1}
    assert len(counted) == 2 * 2 * len(rules.tracks) * len(students)
    assert len(students) == len(set(students)) == 1 + len(rules.unseen)
    families = {networks.parse(name).base for name in students}
    assert families == {"convnet-d3", "mlp", "lenet", "alexnet", "vgg11", "resnet18", "vit"}


def test_students_of_one_repetition_share_its_distillation() -> None:
    keys = {trial.seed: trial.distillation.key for trial in plan(QUICK)}
    assert len(set(keys.values())) == 2
    assert all(trial.distillation.key == keys[trial.seed] for trial in plan(QUICK))


@pytest.mark.parametrize("size_px", SIZES)
@pytest.mark.parametrize("tier", TIERS)
def test_every_student_takes_the_images_and_is_resized_only_if_it_must(
    tier: Tier, size_px: int
) -> None:
    rules = CROSS_ARCH[tier]
    for name in rules.students(size_px, rules.network(size_px)):
        networks.count_parameters(name, spec(size_px))  # says so if it cannot take them
        plain, at, resized_px = name.partition("@")
        if at:
            assert int(resized_px) == networks.smallest_size(plain)
            with pytest.raises(networks.TooSmall):
                networks.count_parameters(plain, spec(size_px))


def test_each_family_trains_by_its_own_recipe() -> None:
    own = dict(QUICK.family_recipes)
    assert own
    for trial in plan(QUICK):
        family = networks.parse(trial.architecture).base
        assert trial.recipe == own.get(family, QUICK.recipe)


def test_the_native_track_changes_what_the_family_has() -> None:
    rules = replace(LITE, family_recipes=(("vit", replace(LITE.recipe, epochs=7, lr=0.5)),))
    trials = plan(rules, "tesla", tracks=("native",), size_px=32)
    recipes = {networks.parse(trial.architecture).base: trial.recipe for trial in trials}
    assert (recipes["vit"].epochs, recipes["vit"].learned_lr) == (7, True)
    assert (recipes["mlp"].epochs, recipes["mlp"].learned_lr) == (LITE.recipe.epochs, True)


def test_the_whole_set_is_trained_on_for_fewer_epochs() -> None:
    trials = plan(QUICK, "whole")
    assert {trial.recipe.epochs for trial in trials} == {QUICK.whole_epochs}
    assert {trial.recipe.lr for trial in trials} == {
        QUICK.recipe.lr,
        *(recipe.lr for _, recipe in QUICK.family_recipes),
    }


def test_a_track_that_the_rules_lack_is_refused() -> None:
    assert {trial.track for trial in plan(QUICK)} == {"standard"}
    with pytest.raises(InvalidValue, match="cross-arch has no native track in the quick tier"):
        plan(QUICK, tracks=("native",))


def test_another_network_distils_and_the_convnet_is_unseen() -> None:
    trials = plan(PAPER, networks=("resnet18", "vgg11"), tracks=("standard",), seeds=1)
    students: dict[str, list[str]] = {}
    for trial in trials:
        students.setdefault(trial.distillation.network, []).append(trial.architecture)
    assert list(students) == ["resnet18", "vgg11@32"]  # of 8 px
    for source, names in students.items():
        assert names[0] == source
        assert sorted(names) == sorted(PAPER.students(8, PAPER.network(8)))


# the study

SEEN, BN, MLP = "convnet-d2-w32", "convnet-d2-w32-bn", "mlp"
RULES = replace(QUICK, unseen=("{network}-bn", "mlp"))


def scored(
    architecture: str,
    seed: int,
    accuracy: float | None,
    method: str = "dm",
    budget: Budget = Budget("ipc", 1),  # noqa: B008
    status: Status = "ok",
) -> Record:
    source = replace(TRIAL.distillation, method=method, budget=budget, network=SEEN, seed=seed)
    trial = replace(TRIAL, distillation=source, architecture=architecture, seed=seed)
    return record_of(trial, accuracy, status=status, reason="NaN" if accuracy is None else "")


FOUND = [
    scored(SEEN, 0, 0.9),
    scored(BN, 0, 0.8),
    scored(MLP, 0, 0.5),
    scored(SEEN, 1, 0.8),
    scored(BN, 1, 0.7),
    scored(MLP, 1, 0.7),
]


def study(records: Sequence[Record]) -> Study:
    (found,) = RULES.studies(records)
    return found


def row(found: Study, name: str) -> dict[str, Cell]:
    heads = [column.name for column in found.columns]
    (cells,) = [cells for cells in found.rows if cells[0] == name]
    return dict(zip(heads, cells, strict=True))


def value(cell: Cell) -> tuple[Any, int]:
    assert isinstance(cell, Estimate)
    return pytest.approx(cell.value), cell.n


def test_the_gap_is_seen_minus_unseen_mean_seed_by_seed() -> None:
    cells = row(study(FOUND), "dm")
    assert list(cells)[1:4] == [SEEN, BN, MLP]
    assert value(cells[SEEN]) == (0.85, 2)
    assert value(cells["Unseen mean"]) == (0.675, 2)  # 0.65 and 0.7
    gap = cells["Transfer gap"]  # 0.25 and 0.1
    assert value(gap) == (0.175, 2)
    assert isinstance(gap, Estimate)
    assert gap.std == pytest.approx(0.075)


def test_a_seed_without_every_network_counts_in_no_mean_and_is_named() -> None:
    partial = [one for one in FOUND if one is not FOUND[-1]]
    found = study(partial)
    cells = row(found, "dm")
    assert value(cells[BN]) == (0.75, 2)
    assert value(cells["Transfer gap"]) == (0.25, 1)
    assert "dm: mean and gap over the 1 of 2 seeds that have every network." in found.notes


def test_a_run_that_has_just_begun_says_which_networks_it_lacks() -> None:
    found = study(FOUND[:2])
    assert value(row(found, "dm")["Unseen mean"]) == (0.8, 1)
    assert "So far 1 of 2 unseen networks." in found.notes
    alone = study(FOUND[:1])
    assert row(alone, "dm")["Transfer gap"] is None


def test_a_student_that_diverged_leaves_its_cell_empty_and_is_told() -> None:
    lost = [scored(MLP, seed, None, status="diverged") for seed in (0, 1)]
    others = [one for one in FOUND if one.trial.architecture != MLP]
    found = study([*others, *lost])
    cells = row(found, "dm")
    assert cells[MLP] is None
    assert cells["Unseen mean"] is None
    assert "dm: 2 × diverged, NaN." in found.notes


def test_each_budget_has_its_table_and_the_whole_set_closes_all() -> None:
    ten = [one.model_copy(update={"trial": _with_budget(one, Budget("ipc", 10))}) for one in FOUND]
    whole = [scored(SEEN, 0, 0.99, "any-whole", Budget("full", 0))]
    tables = RULES.studies([*ten, *whole, *FOUND])
    assert [table.title.split(", ")[1] for table in tables] == ["ipc 1", "ipc 10"]
    assert [[cells[0] for cells in table.rows] for table in tables] == [["dm", "any-whole"]] * 2
    assert [table.title.split(", ")[1] for table in RULES.studies(whole)] == ["full"]


def _with_budget(one: Record, budget: Budget) -> Any:
    return one.trial.model_copy(update={"budget": budget})


def test_the_table_says_who_trains_otherwise_and_who_sees_other_sizes() -> None:
    rules = replace(RULES, family_recipes=(("mlp", replace(RULES.recipe, lr=0.5)),))
    (found,) = rules.studies([*FOUND, scored("vgg11-w8@32", 0, 0.5)])
    assert "mlp trains with lr 0.5 in the standard track." in found.notes
    assert "vgg11-w8@32 sees the images resized to 32 px." in found.notes
