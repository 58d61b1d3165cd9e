"""The store: what stands, what is tried again, and what is damaged."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import records
from bench.errors import BadFile, StoreError
from bench.records import Status
from bench.store import Store
from tests.records import record_of
from tests.test_planning import TRIAL

KEY = "a" * 64
FACTS = {"artifact": "b" * 64, "prepare": {"seconds": 1.5, "peak_bytes": 3}}


@pytest.mark.parametrize(
    ("statuses", "stands"),
    [
        (["ok"], "ok"),
        (["diverged"], "diverged"),
        (["skipped"], "skipped"),
        (["failed"], None),
        (["oom"], None),
        (["failed", "ok"], "ok"),
        (["ok", "failed"], None),
        (["oom", "diverged", "ok"], "ok"),
    ],
)
def test_the_last_outcome_counts_if_the_trial_would_end_so_again(
    store: Store, statuses: list[Status], stands: Status | None
) -> None:
    for status in statuses:
        store.append(record_of(TRIAL, status=status), None)
    assert [one.status for one in store.done().values()] == ([stands] if stands else [])


def test_records_of_other_trials_stand_beside_each_other(store: Store) -> None:
    other = replace(TRIAL, seed=1)
    for trial in (TRIAL, other):
        store.append(record_of(trial), b"\xf0")
    assert set(store.done()) == {TRIAL.id, other.id}


def test_an_empty_store_holds_nothing(store: Store) -> None:
    assert store.done() == {}
    assert store.recall(KEY) is None


def test_correctness_is_kept_beside_the_record(store: Store) -> None:
    store.append(record_of(TRIAL), b"\xf0\x01")
    (path,) = records.files(store.records)
    assert records.read_correct(path) == {TRIAL.id: (b"\xf0\x01",)}


def test_an_equal_training_is_shared_with_its_correctness(store: Store) -> None:
    first = record_of(TRIAL)
    store.append(first, b"\xf0")
    twin = replace(TRIAL, track="native")
    shared = store.share(first, twin)
    assert (shared.id, shared.trial.track) == (twin.id, "native")
    (path,) = records.files(store.records)
    assert records.read_correct(path) == {TRIAL.id: (b"\xf0",), twin.id: (b"\xf0",)}
    assert set(store.done()) == {TRIAL.id, twin.id}


def test_what_was_noted_is_recalled(store: Store) -> None:
    store.remember(KEY, FACTS)
    assert store.recall(KEY) == FACTS
    assert store.recall("c" * 64) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_note_is_refused(store: Store, data: st.DataObject) -> None:
    store.remember(KEY, FACTS)
    (path,) = (store.root / "distillations").iterdir()
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with suppress(BadFile):
        assert store.recall(KEY) == FACTS  # a change that changes nothing, such as white space


@pytest.mark.parametrize("text", ["{}", "[]", "3", '{"facts":{"x":NaN},"sha256":""}'])
def test_a_note_of_another_kind_is_refused(store: Store, text: str) -> None:
    store.remember(KEY, FACTS)
    (path,) = (store.root / "distillations").iterdir()
    path.write_text(text)
    with pytest.raises(BadFile):
        store.recall(KEY)


def test_a_store_is_written_by_one_run_at_a_time(store: Store) -> None:
    with (
        store.lock(),
        pytest.raises(StoreError, match="in use by another run"),
        Store(store.root).lock(),
    ):
        pass
    with store.lock():
        pass
