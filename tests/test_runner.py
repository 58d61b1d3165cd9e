"""Runs from plan to record: everything once, everything recorded, one run at a time."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench import cards, plugins, records, runner
from bench.errors import BadFile, InvalidValue, MissingData, StoreError, UnknownName
from bench.records import Record
from bench.runner import Options, Plan
from bench.specs import Budget
from bench.store import Store
from bench.worker import Event, Finished
from tests.jobs import phases

pytestmark = pytest.mark.usefixtures("registered")


def options(store: Store, *methods: str, **changes: Any) -> Options:
    given: dict[str, Any] = {
        "protocol": "tiny-grid",
        "methods": methods or ("walk",),
        "store": store.root,
        "device": "cpu",
        "jobs": 1,
    }
    return Options(**given | changes)


def run(asked: Options) -> list[Record]:
    return runner.execute(runner.plan(asked), lambda event: None)


def statuses(made: list[Record]) -> dict[str, str]:
    return {record.method.name: record.status for record in made}


EVERYTHING = ("declines", "diverges", "gives-nan", "overspends", "raises", "walk", "whole")


def test_whatever_goes_wrong_in_one_method_the_others_go_on(store: Store) -> None:
    made = run(options(store, *EVERYTHING))
    assert statuses(made) == {
        "declines": "skipped",
        "diverges": "diverged",
        "gives-nan": "diverged",
        "overspends": "failed",
        "raises": "failed",
        "walk": "ok",
        "whole": "ok",
    }
    assert len(made) == 2 * len(EVERYTHING)
    assert {record.method.name for record in runner.failures(made)} == {
        "diverges",
        "gives-nan",
        "overspends",
        "raises",
    }


def test_the_same_plan_again_does_only_what_may_end_otherwise(store: Store) -> None:
    asked = options(store, *EVERYTHING)
    run(asked)
    again = runner.plan(asked)
    assert {job.distillation.method for job in again.jobs} == {"overspends", "raises"}
    assert len(again.done) == 10
    assert statuses(run(asked)) == {"overspends": "failed", "raises": "failed"}


def test_a_finished_run_is_not_repeated(store: Store) -> None:
    asked = options(store, "walk", "whole", seeds=2)
    made = run(asked)
    assert len(made) == 8
    files = {path: path.read_bytes() for path in records.files(store.records)}
    plan = runner.plan(asked)
    assert plan.jobs == ()
    assert {record.id for record in plan.done.values()} == {record.id for record in made}
    assert runner.execute(plan, lambda event: None) == []
    assert {path: path.read_bytes() for path in records.files(store.records)} == files


def test_more_seeds_add_to_what_is_there(store: Store) -> None:
    run(options(store, seeds=1))
    more = runner.plan(options(store, seeds=3))
    assert [job.distillation.seed for job in more.jobs] == [1, 2]


def test_a_second_track_of_an_equal_recipe_is_shared_not_trained(store: Store) -> None:
    (first,) = run(options(store, tracks=("standard",)))
    plan = runner.plan(options(store))
    assert plan.jobs == ()
    (second,) = runner.execute(plan, lambda event: None)
    assert (second.trial.track, second.metrics) == ("native", first.metrics)
    assert runner.plan(options(store)).shared == ()


def test_fresh_does_everything_again_and_gets_the_same(store: Store) -> None:
    first = run(options(store))
    plan = runner.plan(options(store, fresh=True))
    assert len(plan.jobs) == 1
    assert plan.done == {}
    again = runner.execute(plan, lambda event: None)
    assert [record.metrics for record in again] == [record.metrics for record in first]
    assert [record.artifact for record in again] == [record.artifact for record in first]


def test_changed_parameters_are_other_trials(store: Store) -> None:
    run(options(store))
    changed = runner.plan(options(store, changes={"walk": {"iterations": "5"}}))
    assert len(changed.jobs) == 1
    assert changed.done == {}
    assert changed.trials[0].distillation.parameters == {"iterations": 5}


def test_selection_and_report_are_other_trials_with_other_seeds(store: Store) -> None:
    report = run(options(store))
    selection = run(options(store, split="validation"))
    assert {record.trial.split for record in selection} == {"validation"}
    assert not {r.trial.evaluation_seed for r in report} & {
        r.trial.evaluation_seed for r in selection
    }
    assert not {record.id for record in report} & {record.id for record in selection}


def test_every_outcome_is_recorded_before_it_is_told(store: Store) -> None:
    told: list[Event] = []

    def handle(event: Event) -> None:
        if isinstance(event, Finished):
            on_disk = {record.id for record in records.read_all(store.records)}
            assert event.record.id in on_disk
        told.append(event)

    runner.execute(runner.plan(options(store)), handle)
    assert Counter(phases(told))["distill"] == 4
    assert sum(isinstance(event, Finished) for event in told) == 2


def test_what_the_user_must_put_right_stops_the_run_and_what_is_done_stands(
    store: Store,
) -> None:
    asked = options(store, "walk", "needs-data", "whole")
    with pytest.raises(MissingData, match="text encoder"):
        run(asked)
    left = runner.plan(asked)
    assert [job.distillation.method for job in left.jobs] == ["needs-data", "whole"]


def test_an_interrupted_run_goes_on(store: Store) -> None:
    asked = options(store, "walk", "raises", "whole")

    def interrupt(event: Event) -> None:
        if isinstance(event, Finished) and event.record.method.name == "raises":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.execute(runner.plan(asked), interrupt)
    assert len(Store(store.root).done()) == 2
    assert statuses(run(asked)) == {"raises": "failed", "whole": "ok"}


def test_a_second_run_of_the_same_store_is_refused(store: Store) -> None:
    plan = runner.plan(options(store))
    with store.lock(), pytest.raises(StoreError, match="in use by another run"):
        runner.execute(plan, lambda event: None)
    assert len(runner.execute(plan, lambda event: None)) == 2


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"protocol": "tiny-gird"}, UnknownName, "Did you mean 'tiny-grid'"),
        ({"tier": "paper"}, UnknownName, "tier of tiny-grid"),
        ({"methods": ("wlak",)}, UnknownName, "Did you mean 'walk'"),
        ({"datasets": ("tinny",)}, UnknownName, "Did you mean 'tiny'"),
        ({"changes": {"walk": {"iteration": 1}}}, UnknownName, "Did you mean 'iterations'"),
        ({"changes": {"walk": {"iterations": "x"}}}, InvalidValue, "give a value of type int"),
        ({"seeds": 21}, InvalidValue, "publishes 20 seeds"),
        ({"datasets": ("mnist",)}, MissingData, "bench data fetch mnist"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(
    store: Store,
    tmp_path: Path,
    changes: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    asked = options(store, **{"data_root": tmp_path, **changes})
    with pytest.raises(error, match=message):
        runner.plan(asked)
    assert not store.root.exists()


def test_a_dataset_too_large_for_the_rules_is_refused_in_a_sentence(store: Store) -> None:
    with pytest.raises(InvalidValue, match=r"no network for images of 32 px.*name=path@size"):
        runner.plan(options(store, datasets=("cifar10",)), read_data=False)


def test_a_dry_plan_reads_no_data(store: Store, tmp_path: Path) -> None:
    plan = runner.plan(
        options(store, datasets=("tiny",), data_root=tmp_path, budgets=(Budget("ipc", 7),)),
        read_data=False,
    )
    assert {str(job.distillation.budget) for job in plan.jobs} == {"ipc 7"}


def test_a_damaged_record_file_is_named(store: Store) -> None:
    run(options(store))
    (path,) = records.files(store.records)
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(BadFile, match=f"{path.name}:1"):
        runner.plan(options(store))


def test_a_run_that_finds_everything_done_answers_without_torch(store: Store) -> None:
    asked = options(store, "random", protocol="ipc-grid", datasets=("digits",), seeds=1)
    runner.plan(asked)  # reads digits once
    code = (
        "import sys; from pathlib import Path; from bench import runner\n"
        "asked = runner.Options(protocol='ipc-grid', methods=('random',), seeds=1,"
        " store=Path(sys.argv[1]))\n"
        "print(len(runner.plan(asked).trials), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, store.root], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["4", "False"]


def test_plans_are_frozen(store: Store) -> None:
    plan = runner.plan(options(store))
    assert isinstance(plan, Plan)
    with pytest.raises(AttributeError):
        plan.jobs = ()  # type: ignore[misc]


def test_run_without_methods_takes_those_of_the_tier() -> None:
    named = {trial.method for trial in runner.plan(Options(protocol="ipc-grid")).trials}
    assert named == {name for name in plugins.names("methods") if "quick" in cards.card(name).tiers}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"budgets": (Budget("inpc", 10),)}, "tiny-grid has nothing to do for walk"),
        ({"changes": {"slow": {"iterations": 3}}}, "--set changes slow, which this run does not"),
    ],
)
def test_what_would_pass_for_done_is_refused(
    changes: dict[str, Any], sentence: str, store: Store
) -> None:
    with pytest.raises(InvalidValue, match=sentence):
        runner.plan(options(store, **changes))
