"""Worker processes: one that dies takes its own job along and nothing else."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench import runner
from bench.errors import MissingData
from bench.executors.local import _how_it_ended
from bench.profiling.catalogue import devices
from bench.records import Record
from bench.store import Store
from bench.worker import Event, Finished
from tests.jobs import phases
from tests.test_runner import options


def facts(made: list[Record]) -> dict[str, Any]:
    """Everything of the records by id but when, where and at what cost."""
    return {
        record.id: record.model_dump(exclude={"time", "environment", "cost"})
        | {"stored_bytes": record.cost.stored_bytes}
        for record in made
    }


pytestmark = pytest.mark.usefixtures("registered")


def test_a_worker_that_dies_takes_its_own_job_along_and_no_other(store: Store) -> None:
    asked = options(store, "dies", "raises", "walk", jobs=2)
    told: list[Event] = []
    made = runner.execute(runner.plan(asked), told.append)
    assert {record.method.name: (record.status, record.reason) for record in made} == {
        "dies": ("failed", "ChildProcessError: the worker process ended with exit code 3"),
        "raises": ("failed", "RuntimeError: a bug in the adapter"),
        "walk": ("ok", ""),
    }
    assert len(made) == sum(isinstance(event, Finished) for event in told) == 6
    assert phases(told).count("distill") == 4
    assert not multiprocessing.active_children()

    alone = Store(store.root.parent / "alone")
    one, _ = runner.execute(runner.plan(options(alone, "walk")), told.append)
    other = next(record for record in made if record.method.name == "walk")
    assert (other.metrics, other.artifact) == (one.metrics, one.artifact)


@pytest.mark.slow
def test_workers_are_replaced_as_often_as_they_die(store: Store) -> None:
    asked = options(store, "dies", "walk", jobs=2, seeds=4)
    made = runner.execute(runner.plan(asked), lambda event: None)
    words = {0: "ended with exit code 3", 1: "was ended by SIGKILL, perhaps for lack of memory"}
    for record in made:
        if record.method.name == "dies":
            assert record.reason.endswith(words[record.trial.evaluation_seed % 2])
        else:
            assert record.status == "ok"
    assert len(made) == 16


def test_what_the_user_must_put_right_stops_every_worker(store: Store) -> None:
    changes = {"slow": {"iterations": 600}}  # a minute
    asked = options(store, "needs-data", "slow", jobs=2, changes=changes)
    start = time.monotonic()
    with pytest.raises(MissingData, match="text encoder"):
        runner.execute(runner.plan(asked), lambda event: None)
    assert time.monotonic() - start < 50
    assert not multiprocessing.active_children()
    with store.lock():  # and the store is free again
        pass


@pytest.mark.slow
def test_a_trial_that_hangs_is_recorded_and_the_rest_goes_on(store: Store) -> None:
    changes = {"slow": {"iterations": 100_000}}
    asked = options(store, "slow", "walk", jobs=1, changes=changes, timeout=20)
    made = runner.execute(runner.plan(asked), lambda event: None)
    assert {record.method.name: (record.status, record.reason) for record in made} == {
        "slow": ("failed", "TimeoutError: not done after 20 s (--timeout)"),
        "walk": ("ok", ""),
    }
    assert len(made) == 4
    again = runner.plan(asked)
    assert {job.distillation.method for job in again.jobs} == {"slow"}


@pytest.mark.slow
def test_workers_record_what_one_process_alone_records(store: Store, tmp_path: Path) -> None:
    wrong = ("declines", "diverges", "gives-nan", "overspends", "raises", "runs-out-of-memory")
    made = runner.execute(
        runner.plan(options(store, *wrong, "walk", "whole", jobs=2)), lambda event: None
    )
    alone = options(Store(tmp_path / "alone"), *wrong, "walk", "whole")
    assert facts(runner.execute(runner.plan(alone), lambda event: None)) == facts(made)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--executor", "rey"), "Did you mean 'ray'"),
        (("--ray-address", "auto"), "--ray-address belongs to --executor ray"),
        (("--executor", "ray", "--ray-address", "127.0.0.1:1", "--jobs", "2"), "--jobs is for one"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    bench: Any, arguments: tuple[str, ...], sentence: str
) -> None:
    code, _, err = bench("run", "-p", "tiny-grid", "-m", "walk", "--device", "cpu", *arguments)
    assert code == 2
    assert sentence in " ".join(err.split())


def test_a_plan_of_the_paper_tier_is_forecast_for_every_device(bench: Any) -> None:
    asked = ("-t", "paper", "-m", "random", "-d", "cifar10", "-b", "1", "--seeds", "2")
    code, out, _ = bench("run", "--dry-run", *asked, "--json")
    plan = json.loads(out)
    assert code == 0
    assert plan["trials"] == 4
    assert set(plan["forecast"]["seconds"]) == set(devices())
    assert min(kinds["evaluate"] for kinds in plan["forecast"]["seconds"].values()) > 0
    assert plan["forecast"]["unknown"] == 0
    # two sets of ten images of three channels with their labels
    assert plan["forecast"]["disk_bytes"]["synthetic sets"] == 2 * 10 * (4 * 3 * 32 * 32 + 8)
    code, out, _ = bench("run", "--dry-run", *asked)
    assert code == 0
    assert "Forecast device hours" in out
    assert "h100" in out
    assert set(plan["forecast"]["too_large"].values()) == {0}
    assert "The largest piece takes" in out
    assert "bench profile" not in out  # it fits everywhere


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "ended with exit code 1"),
        (0, "ended with exit code 0"),
        (-signal.SIGSEGV, "was ended by SIGSEGV"),
        (-signal.SIGKILL, "was ended by SIGKILL, perhaps for lack of memory"),
    ],
)
def test_the_end_of_a_process_is_told_in_words(code: int, words: str) -> None:
    assert _how_it_ended(code) == f"the worker process {words}"


RUN = """
import sys
from pathlib import Path
from bench import runner

def main():
    asked = runner.Options(
        protocol="tiny-grid", methods=("slow",), seeds=2, jobs=2, device="cpu",
        changes={"slow": {"iterations": 600}}, store=Path(sys.argv[1]),
    )
    runner.execute(runner.plan(asked), lambda event: print("event", flush=True))

if __name__ == "__main__":
    main()
"""


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()]


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return state.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_workers_end_when_their_parent_is_killed(store: Store, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(RUN)
    paths: dict[str, Any] = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, script, store.root],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | paths,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "event\n"
        workers = children(parent.pid)
        assert len(workers) >= 2
        parent.kill()
    deadline = time.monotonic() + 10
    while not all(gone(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with store.lock():
        pass
