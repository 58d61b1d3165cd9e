"""Plans: what identifies a trial, what trials share, and what a protocol's rules hash to."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import ContractError, InvalidValue, UnknownName
from bench.planning import Request, choose_seeds, jobs, load_rules, rules_hash
from bench.recipes import KnowledgeDistillation, Recipe
from bench.specs import Budget
from bench.trials import Distillation, Trial
from protocols.ipc_grid import QUICK
from tests.fakes import SPEC, TINY_GRID

DISTILLATION = Distillation(
    method="dm",
    version=1,
    parameters={"iterations": 10, "lr_images": 1.0},
    dataset="tiny",
    checksum="abc",
    preprocessing="normalize",
    split="test",
    budget=Budget("ipc", 1),
    network="convnet-d2",
    seed=0,
)
TRIAL = Trial(
    protocol="ipc-grid",
    version=1,
    protocol_hash="0" * 64,
    tier="quick",
    track="standard",
    distillation=DISTILLATION,
    architecture="convnet-d2",
    recipe=Recipe(epochs=10),
    seed=0,
    preset="quick",
)
OTHER_DISTILLATION: dict[str, Any] = {
    "method": "dc",
    "version": 2,
    "parameters": {"iterations": 10, "lr_images": 2.0},
    "dataset": "other",
    "checksum": "def",
    "preprocessing": "zca",
    "split": "validation",
    "budget": Budget("ipc", 2),
    "network": "convnet-d3",
    "seed": 1,
}
OTHER_TRIAL: dict[str, Any] = {
    "protocol": "other",
    "version": 2,
    "protocol_hash": "1" * 64,
    "tier": "lite",
    "track": "native",
    "architecture": "mlp",
    "recipe": Recipe(epochs=11),
    "seed": 1,
    "deployed": Budget("inpc", 7),
    "merged_seeds": (5,),
    "evaluates": "another",
}
OTHER_RULES: dict[str, Any] = {
    "name": "other",
    "version": 99,
    "tier": "lite",
    "grid": (("digits", (1,)),),
    "networks": ((16, "mlp"),),
    "recipe": replace(QUICK.recipe, momentum=0.8),
    "whole_epochs": 31,
    "report_seeds": tuple(range(21)),
    "selection_seeds": tuple(range(1000, 1021)),
    "default_seeds": 6,
}


def trial(**changes: Any) -> Trial:
    """A variant of the trial; names of the distillation's fields change the distillation."""
    own = {key: value for key, value in changes.items() if key in OTHER_TRIAL}
    inner = {key: value for key, value in changes.items() if key not in own}
    return replace(TRIAL, distillation=replace(DISTILLATION, **inner), **own)


def test_every_field_of_a_distillation_changes_its_key() -> None:
    assert set(OTHER_DISTILLATION) == {field.name for field in fields(Distillation)}
    variants = [replace(DISTILLATION, **{key: value}) for key, value in OTHER_DISTILLATION.items()]
    assert len({one.key for one in [DISTILLATION, *variants]}) == 1 + len(variants)


def test_every_coordinate_changes_the_id_of_a_trial() -> None:
    assert set(OTHER_TRIAL) == {field.name for field in fields(Trial)} - {"distillation", "preset"}
    variants = [replace(TRIAL, **{key: value}) for key, value in OTHER_TRIAL.items()]
    variants += [
        replace(TRIAL, distillation=replace(DISTILLATION, **{key: value}))
        for key, value in OTHER_DISTILLATION.items()
    ]
    assert len({one.id for one in [TRIAL, *variants]}) == 1 + len(variants)


def test_every_field_of_the_recipe_changes_the_id_of_a_trial() -> None:
    recipes = [
        Recipe(epochs=10, **change)
        for change in (
            {"lr": 0.02},
            {"learned_lr": True},
            {"momentum": 0.8},
            {"weight_decay": 0.0},
            {"batch": 128},
            {"schedule": "cosine"},
            {"augmentation": "none"},
            {"loss": "l1-logits"},
            {"distillation": KnowledgeDistillation(teacher="mlp")},
            {"distillation": KnowledgeDistillation(teacher="mlp", alpha=0.4)},
            {"distillation": KnowledgeDistillation(teacher="mlp", temperature=2.0)},
        )
    ]
    assert len({trial(recipe=recipe).id for recipe in recipes} | {TRIAL.id}) == 1 + len(recipes)


def test_where_parameters_come_from_does_not_change_the_id() -> None:
    assert replace(TRIAL, preset="quick iterations=10").id == TRIAL.id


def test_a_key_is_the_sha256_that_anyone_can_compute() -> None:
    facts = {
        "method": "dm",
        "version": 1,
        "parameters": {"iterations": 10, "lr_images": 1.0},
        "dataset": "tiny",
        "checksum": "abc",
        "preprocessing": "normalize",
        "split": "test",
        "budget": {"kind": "ipc", "count": 1},
        "network": "convnet-d2",
        "seed": 0,
    }
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    assert DISTILLATION.key == hashlib.sha256(text.encode()).hexdigest()


def test_tracks_with_equal_recipes_share_one_training() -> None:
    assert trial(track="native").evaluation_key == TRIAL.evaluation_key
    other = trial(track="native", recipe=Recipe(epochs=300))
    assert other.evaluation_key != TRIAL.evaluation_key
    assert other.distillation.key == TRIAL.distillation.key


GRID = [
    trial(seed=seed, track=track, method=method)
    for method in ("dm", "dc")
    for seed in (0, 1)
    for track in ("standard", "native")
]


@given(order=st.permutations(range(len(GRID))), repeats=st.lists(st.integers(0, len(GRID) - 1)))
def test_jobs_gather_what_shares_a_distillation_in_the_order_given(
    order: list[int], repeats: list[int]
) -> None:
    trials = [GRID[place] for place in [*order, *repeats]]
    grouped = jobs(trials)
    assert sorted(one.id for job in grouped for one in job.trials) == sorted(t.id for t in GRID)
    for job in grouped:
        assert {one.distillation.key for one in job.trials} == {job.distillation.key}
    keys = [job.distillation.key for job in grouped]
    assert keys == list(dict.fromkeys(one.distillation.key for one in trials))


def test_no_trials_make_no_jobs() -> None:
    assert jobs([]) == []


def test_the_first_published_seeds_are_used() -> None:
    assert choose_seeds((5, 6, 7), 2, "grid") == (5, 6)


@pytest.mark.parametrize("count", [0, -1, 4])
def test_seeds_that_are_not_published_are_refused(count: int) -> None:
    with pytest.raises(InvalidValue, match=f"grid publishes 3 seeds; --seeds {count} cannot be"):
        choose_seeds((5, 6, 7), count, "grid")


def test_every_field_of_the_rules_changes_their_hash() -> None:
    assert set(OTHER_RULES) == {field.name for field in fields(QUICK)}
    variants = [replace(QUICK, **{key: value}) for key, value in OTHER_RULES.items()]
    assert len({rules_hash(one) for one in [QUICK, *variants]}) == 1 + len(variants)
    assert rules_hash(replace(QUICK)) == rules_hash(QUICK)


def request(**changes: Any) -> Request:
    given: dict[str, Any] = {
        "methods": ("dm",),
        "specs": {"tiny": SPEC},
        "checksums": {"tiny": "abc"},
        "seeds": 2,
    }
    return Request(**given | changes)


def test_changes_of_the_user_reach_the_trial_and_are_told() -> None:
    rules = TINY_GRID["quick"]
    changed = request(changes={"dm": {"lr_images": "5"}})
    for one in rules.plan(changed):
        assert one.distillation.parameters["lr_images"] == 5.0
        assert one.preset == "quick lr_images=5.0"
    ids = [{one.id for one in rules.plan(asked)} for asked in (request(), changed)]
    assert not ids[0] & ids[1]


def test_a_plan_repeats_whatever_the_process_has_drawn() -> None:
    rules = TINY_GRID["quick"]
    first = [one.id for one in rules.plan(request())]
    random.random()
    assert [one.id for one in rules.plan(request())] == first
    assert len(set(first)) == len(first) == 4  # two seeds, two tracks


@pytest.mark.usefixtures("registered")
def test_a_tier_that_a_protocol_lacks_is_named() -> None:
    with pytest.raises(UnknownName, match=r"tier of tiny-grid named 'paper'.*Known: quick"):
        load_rules("tiny-grid", "paper")


def test_a_protocol_that_is_no_mapping_breaks_the_contract(install: Any) -> None:
    install({"protocols": {"odd": "tests.fakes:SPEC"}})
    with pytest.raises(ContractError, match="must be a mapping from tier to frozen rules"):
        load_rules("odd", "quick")


@pytest.mark.parametrize("tier", ["nothing", "half"])
def test_a_tier_that_holds_no_rules_breaks_the_contract(install: Any, tier: str) -> None:
    install({"protocols": {"odd": "tests.fakes:NO_RULES"}})
    with pytest.raises(ContractError, match=f"The {tier} tier of the protocol 'odd' must be"):
        load_rules("odd", tier)  # type: ignore[arg-type]
