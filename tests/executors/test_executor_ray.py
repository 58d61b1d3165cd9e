"""A cluster of several nodes on this machine: the same records, and no more lost than must be."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import records, runner
from bench.errors import InvalidValue, MissingData
from bench.executors.dispatch import nodes_of
from bench.records import Record
from bench.store import Store
from bench.worker import Event, Finished, Settings
from tests.executors.test_executor_local import facts
from tests.test_runner import options

pytest.importorskip("ray", reason="Ray is not installed")

from ray.cluster_utils import Cluster

pytestmark = pytest.mark.usefixtures("known_to_workers")


@pytest.fixture
def known_to_workers(registered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fakes as plug-ins, also where Ray starts processes."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head without CPUs and two nodes with one each."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    made.shutdown()


def on(cluster: Cluster, store: Store, *methods: str, **changes: Any) -> runner.Options:
    given = {"executor": "ray", "ray_address": cluster.address, "jobs": None}
    return options(store, *methods, **given | changes)


def correct(store: Store) -> dict[str, tuple[bytes, ...]]:
    """What every student got right, by trial."""
    return {
        trial: bits
        for path in records.files(store.records)
        for trial, bits in records.read_correct(path).items()
    }


def run(asked: runner.Options) -> list[Record]:
    return runner.execute(runner.plan(asked), lambda event: None)


@pytest.mark.slow
def test_records_equal_those_of_this_machine_alone(
    cluster: Cluster, store: Store, tmp_path: Path
) -> None:
    tiny_mtt = {
        "iterations": "3",
        "experts": "3",
        "teacher_epochs": "4",
        "min_start_epoch": "0",
        "max_start_epoch": "1",
        "expert_epochs": "2",
        "matching_steps": "2",
    }
    asked: dict[str, Any] = {
        "protocol": "ipc-grid",
        "datasets": ("digits",),
        "seeds": 1,
        "changes": {"dm": {"iterations": "3"}, "mtt": tiny_mtt},
    }
    made = run(on(cluster, store, "random", "dm", "mtt", **asked))
    here = Store(tmp_path / "here")
    assert facts(run(options(here, "random", "dm", "mtt", **asked))) == facts(made)
    assert correct(here) == correct(store)
    assert {record.status for record in made} == {"ok"}
    pool = Store(tmp_path / "pool")
    assert facts(run(options(pool, "random", "dm", "mtt", jobs=2, **asked))) == facts(made)
    assert correct(pool) == correct(store)


@pytest.mark.slow
def test_a_node_that_dies_costs_only_the_trials_it_was_at(
    cluster: Cluster, store: Store, tmp_path: Path
) -> None:
    begun: Counter[str] = Counter()
    done: list[Record] = []
    at_death: list[Record] = []
    victim = cluster.worker_nodes - {cluster.head_node}
    changes = {"slow": {"iterations": 20}}

    def watch(event: Event) -> None:
        if not isinstance(event, Finished):
            begun[event.job] += event.phase == "distill" and event.done == 1
            return
        done.append(event.record)
        if len(done) == 4:
            at_death.extend(done)
            cluster.remove_node(victim.pop(), allow_graceful=False)

    asked = on(cluster, store, "slow", seeds=6, changes=changes)
    plan = runner.plan(asked)
    made = runner.execute(plan, watch)
    assert len(made) == 12
    assert {record.status for record in made} == {"ok"}
    lines = [record.id for record in records.read_all(store.records)]
    assert sorted(lines) == sorted(trial.id for trial in plan.trials)
    stood = {record.id for record in at_death}
    for job in plan.jobs:
        if {trial.id for trial in job.trials} <= stood:
            assert begun[job.distillation.key] == 1
    alone = Store(tmp_path / "alone")
    assert facts(run(options(alone, "slow", seeds=6, changes=changes))) == facts(made)


@pytest.mark.slow
def test_what_goes_wrong_is_recorded_as_on_this_machine(
    cluster: Cluster, store: Store, tmp_path: Path
) -> None:
    wrong = ("declines", "diverges", "gives-nan", "overspends", "raises", "runs-out-of-memory")
    made = run(on(cluster, store, *wrong, "walk"))
    here = Store(tmp_path / "here")
    assert facts(run(options(here, *wrong, "walk"))) == facts(made)


@pytest.mark.slow
def test_a_worker_that_dies_or_hangs_takes_its_own_trials_along_and_no_other(
    cluster: Cluster, store: Store
) -> None:
    hangs = {"slow": {"iterations": 100_000}}
    made = run(on(cluster, store, "dies", "slow", "walk", changes=hangs, timeout=20))
    told = {record.method.name: (record.status, record.reason) for record in made}
    assert told["slow"] == ("failed", "TimeoutError: not done after 20 s (--timeout)")
    assert told["dies"][0] == "failed"
    assert "the worker process was lost" in told["dies"][1]
    assert told["walk"] == ("ok", "")
    assert len(made) == 6


@pytest.mark.slow
def test_what_the_user_must_put_right_ends_the_run(cluster: Cluster, store: Store) -> None:
    with pytest.raises(MissingData, match="text encoder"):
        run(on(cluster, store, "needs-data", "walk"))
    with store.lock():
        pass


@pytest.mark.slow
def test_one_cluster_of_this_machine_does_a_small_grid(store: Store, tmp_path: Path) -> None:
    asked = options(store, "walk", "raises", jobs=1, executor="ray")
    made = run(asked)
    here = Store(tmp_path / "here")
    assert facts(run(options(here, "walk", "raises"))) == facts(made)


def test_a_worker_that_does_not_see_the_store_says_so(store: Store) -> None:
    from bench.executors import ray

    plan = runner.plan(options(store))
    settings = Settings(
        store=store.root, data_root=None, references=plan.references, device="cpu", threads=1
    )
    (node, *_) = nodes_of(plan)
    done = ray._work._function(node, (settings, None, None, Path.cwd()), ())
    assert "does not see the store" in str(done.fault)
    assert "a folder that all machines share" in str(done.fault)
    told = ray._work._function(node, (settings, None, None, Path.cwd()), ("before",), done)
    assert told.fault is done.fault


def test_trials_that_ended_before_a_fault_are_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.executors import ray

    done = ray.Done(finished=("a trial",), fault=MissingData("nothing there"))  # type: ignore[arg-type]
    monkeypatch.setattr(ray._Run, "__post_init__", lambda work: None)  # reaches for a cluster
    monkeypatch.setattr("ray.get", lambda reference: done)
    (node, *_) = nodes_of(runner.plan(options(store)))
    told: list[object] = []
    settings: Any = None
    work = ray._Run([node], settings, settings, told.extend, settings, None)
    work.refs[node.key] = "its result"
    with pytest.raises(MissingData, match="nothing there"):
        work.conclude(node)
    work.take_up()
    assert told == ["a trial"]


@pytest.mark.parametrize(
    ("address", "raised"),
    [
        ("127.0.0.1:1", None),
        ("auto", ConnectionError("Could not find any running Ray instance. Set `--address`.")),
        ("auto", RuntimeError("Version mismatch: The cluster was started with: Ray: 1.0")),
    ],
)
def test_an_address_without_a_cluster_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch, address: str, raised: Exception | None
) -> None:
    def refuses(**options: object) -> None:
        assert raised is not None
        raise raised

    monkeypatch.setattr("ray.init", refuses)
    with pytest.raises(InvalidValue, match=f"No Ray cluster can be used at {address}: ") as told:
        run(options(store, executor="ray", jobs=None, ray_address=address))
    assert "--address" not in str(told.value)
    assert ".." not in str(told.value)
