"""What every registered protocol keeps to: frozen rules, unseen test data, studies at any time."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bench import cards, datasets, plugins
from bench.data import RealSet
from bench.files import canonical_json
from bench.planning import Request, Rules, Sweep, jobs, load_rules, rules_hash
from bench.records import Costs, Record
from bench.specs import Budget
from bench.task import Task
from bench.trials import TIERS, Split, Tier, Trial
from bench.worker import Finished, Settings, run_job
from tests import fakes
from tests.conftest import Install
from tests.fakes import SPEC, Walk, WalkState, tiny_pair

PINS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "pins.json").read_text())
PROTOCOLS = plugins.names("protocols")

everywhere = pytest.mark.parametrize("name", PROTOCOLS)
at_every_tier = pytest.mark.parametrize("tier", TIERS)


def plan(rules: Rules, *methods: str, **changes: Any) -> list[Trial]:
    """The trials of one image a class of the tiny dataset."""
    given: dict[str, Any] = {
        "methods": methods,
        "specs": {"tiny": SPEC},
        "checksums": {},
        "budgets": (Budget("ipc", 1),),
        "seeds": 1,
        "sweeps": tuple(sweep for method in methods for sweep in sweeps(method)),
    }
    return list(rules.plan(Request(**given | changes)))


def sweeps(method: str) -> list[Sweep]:
    """The first number among a method's parameters, and one more; for protocols that sweep."""
    numbers = [
        (name, entry.value)
        for name, entry in cards.card(method).parameters.items()
        if isinstance(entry.value, int | float) and not isinstance(entry.value, bool)
    ]
    return [
        Sweep(method=method, parameter=name, values=(value, value + 1))
        for name, value in numbers[:1]
    ]


def takes_part(rules: Rules, method: str) -> bool:
    """Whether a protocol has a place for a method: every one has for image sets."""
    sweeping = "sweeps" in getattr(rules, "heeds", ())
    return "ipc" in cards.card(method).budgets and bool(not sweeping or sweeps(method))


# rules


@everywhere
@at_every_tier
def test_the_rules_of_a_version_never_change(name: str, tier: Tier) -> None:
    """A failure here means: raise ``version``, and add a line to pins.json; never edit one."""
    rules = load_rules(name, tier)
    assert rules_hash(rules) == PINS[name][f"v{rules.version}"][tier]


def other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return f"{value}-other"
    if isinstance(value, tuple):
        return (*value[:-1], other(value[-1])) if value else ("other",)
    if is_dataclass(value):
        first = fields(value)[0].name
        return with_field(value, first, other(getattr(value, first)))
    assert value is None, f"no other value is known for {value!r}"
    return 1


def with_field(value: Any, name: str, content: Any) -> Any:
    """A copy with one field replaced, whatever its checks would say of it."""
    changed = copy.copy(value)
    object.__setattr__(changed, name, content)
    return changed


@everywhere
@at_every_tier
def test_every_field_of_the_rules_changes_their_hash(name: str, tier: Tier) -> None:
    rules: Any = load_rules(name, tier)
    variants = [with_field(rules, f.name, other(getattr(rules, f.name))) for f in fields(rules)]
    hashes = {rules_hash(variant) for variant in variants}
    assert len(hashes | {rules_hash(rules)}) == 1 + len(variants)


@everywhere
@at_every_tier
def test_choices_are_made_with_other_seeds_than_results(
    name: str, tier: Tier, install: Install
) -> None:
    install(ENTRY_POINTS)
    rules = load_rules(name, tier)
    published = 20
    seeds: dict[str, set[int]] = {}
    for split in ("test", "validation"):
        trials = plan(rules, "spy", split=split, seeds=published, tracks=("standard",))
        seeds[split] = {source.seed for trial in trials for source in trial.sources}
        seeds[split] |= {trial.seed for trial in trials}
        assert len(seeds[split]) >= published
    assert not seeds["test"] & seeds["validation"]


@everywhere
@at_every_tier
def test_image_sets_take_part_and_no_trial_is_planned_twice(name: str, tier: Tier) -> None:
    rules = load_rules(name, tier)
    able = {method for method in plugins.names("methods") if takes_part(rules, method)}
    trials = plan(rules, *sorted(able))
    assert able <= {trial.method for trial in trials}
    assert len({trial.id for trial in trials}) == len(trials)
    assert {(t.protocol, t.tier, t.protocol_hash) for t in trials} == {
        (name, tier, rules_hash(rules))
    }


# runs


@dataclass(frozen=True, kw_only=True)
class Spy(Walk):
    """Hands over real images, and keeps every image that it could have looked at."""

    seen: ClassVar[set[bytes]] = set()

    def prepare(self, task: Task) -> WalkState:
        for real in (task.real, task.experts.real):
            self.seen.update(image.tobytes() for image in real.pixels.numpy())
        return super().prepare(task)


ENTRY_POINTS = fakes.ENTRY_POINTS | {
    "methods": fakes.ENTRY_POINTS["methods"] | {"spy": f"{__name__}:Spy"}
}


@dataclass(frozen=True)
class Made:
    """What a protocol's quick tier made of the spy, every student trained for one epoch.

    Attributes:
        records: of every trial.
        seen: the images that the spy could have looked at.
    """

    records: list[Record]
    seen: frozenset[bytes]


def run(name: str, split: Split, folder: Path) -> Made:
    rules, seeds = load_rules(name, "quick"), 2 if split == "test" else 1
    trials = plan(rules, "spy", split=split, seeds=seeds)
    settings = Settings(
        store=folder,
        data_root=None,
        references={"tiny": "tiny"},
        device="cpu",
        threads=1,
    )
    Spy.seen.clear()
    told: list[Any] = []
    for job in jobs(replace(trial, recipe=replace(trial.recipe, epochs=1)) for trial in trials):
        run_job(job, settings, told.append)
    records = [event.record for event in told if isinstance(event, Finished)]
    return Made(records, frozenset(Spy.seen))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Split], Made]:
    """Each protocol is run once a split for all tests, when the first of them asks."""

    @cache
    def made(name: str, split: Split) -> Made:
        return run(name, split, tmp_path_factory.mktemp(name))

    return made


def pixels(real: RealSet) -> set[bytes]:
    return {image.tobytes() for image in real.pixels.numpy()}


@everywhere
@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_method_never_sees_an_image_that_students_are_tested_on(
    name: str, split: Split, install: Install, runs: Callable[[str, Split], Made]
) -> None:
    install(ENTRY_POINTS)
    made = runs(name, split)
    assert {record.status for record in made.records} == {"ok"}
    held_out = datasets.load("tiny", split=split).test
    assert made.seen
    assert not made.seen & (pixels(held_out) | pixels(tiny_pair().test))


# studies


def written(rules: Rules, records: Sequence[Record]) -> list[Any]:
    """Every study as a reader and as a program get it."""
    found = []
    for study in rules.studies(records):
        canonical_json(study.as_dict())  # plain and finite
        assert study.title
        assert all(len(row) == len(study.columns) for row in study.rows)
        found.append((study.title, study.texts(), study.notes))
    return found


def failed(record: Record) -> Record:
    facts = {"status": "failed", "reason": "a bug", "metrics": {}, "cost": Costs(), "labels": None}
    return record.model_copy(update=facts)


@everywhere
def test_studies_are_made_of_whatever_is_there(
    name: str, install: Install, runs: Callable[[str, Split], Made]
) -> None:
    install(ENTRY_POINTS)
    rules, records = load_rules(name, "quick"), runs(name, "test").records
    assert written(rules, []) == []
    order = random.Random(0).sample(records, len(records))
    for count in {1, 2, *range(0, len(order), -(-len(order) // 8))}:
        written(rules, order[:count])
        written(rules, [*order[:count], *map(failed, order[count:])])
    assert written(rules, order) == written(rules, records)
