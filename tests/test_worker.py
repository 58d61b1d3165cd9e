"""One job: what is recorded of every trial, what is kept, and what is never done twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench import artifacts, records
from bench.data import RealSet
from bench.exam import Entry, Exam
from bench.store import Store
from bench.worker import Finished
from tests.fakes import TINY_GRID, tiny_pair
from tests.jobs import job_of, phases, run

pytestmark = pytest.mark.usefixtures("registered")


def test_a_job_gives_one_complete_record_a_trial(store: Store) -> None:
    job = job_of("walk")
    made, events = run(job, store)
    assert [record.id for record in made] == [trial.id for trial in job.trials]
    assert [record.trial.track for record in made] == ["standard", "native"]
    for record in made:
        assert record.status == "ok"
        assert record.labels == "hard"
        assert 0 <= record.metrics["accuracy"] <= 1
        cost = record.cost
        assert cost.prepare is not None
        assert cost.distill is not None
        assert cost.evaluate is not None
        assert min(cost.distill.seconds, cost.evaluate.seconds) > 0
        assert cost.evaluate.peak_bytes > 0
        assert cost.stored_bytes == 3 * 64 * 4 + 3 * 8  # three images and labels
        assert record.environment.threads == 1
        assert record.recipe == TINY_GRID["quick"].recipe.as_dict()
        assert records.parse(record.line(), "line") == record
    correct = {event.correct for event in events if isinstance(event, Finished)}
    (bits,) = correct
    assert bits is not None
    accuracy = np.unpackbits(np.frombuffer(bits, np.uint8))[:45].mean()
    assert accuracy == made[0].metrics["accuracy"]


def test_what_was_made_is_kept_with_its_header(store: Store) -> None:
    job = job_of("walk")
    (record, _), _ = run(job, store)
    assert record.artifact is not None
    kept = artifacts.load(store.artifact(record.artifact))
    assert kept.header is not None
    assert kept.header.method == "walk"
    assert kept.header.created["key"] == job.distillation.key
    recalled = store.recall(job.distillation.key)
    assert recalled is not None
    assert [point["step"] for point in recalled["curve"]] == [1, 2, 3, 4]
    assert not list(store.checkpoint("x").parent.glob("*"))


def test_tracks_with_equal_recipes_train_one_student(store: Store) -> None:
    (first, second), events = run(job_of("walk"), store)
    assert first.cost.evaluate == second.cost.evaluate
    assert first.metrics == second.metrics
    assert set(phases(events)) == {"distill", "standard on convnet-d1-w8"}


def test_tracks_with_other_recipes_train_their_own(store: Store) -> None:
    job = job_of("walk")
    standard, native = job.trials
    native = replace(native, recipe=replace(native.recipe, epochs=2))
    _, events = run(replace(job, trials=(standard, native)), store)
    assert {"standard on convnet-d1-w8", "native on convnet-d1-w8"} < set(phases(events))


def test_a_distillation_is_not_done_twice(store: Store) -> None:
    job = job_of("walk")
    (first, _), _ = run(job, store)
    (again, _), events = run(job, store)
    assert "distill" not in phases(events)
    assert (again.artifact, again.metrics) == (first.artifact, first.metrics)
    assert again.cost.distill == first.cost.distill


def test_fresh_distils_again_and_from_the_start(store: Store) -> None:
    job = job_of("walk")
    run(job, store)
    store.checkpoint(job.distillation.key).parent.mkdir(exist_ok=True)
    store.checkpoint(job.distillation.key).write_bytes(b"left over")
    _, events = run(job, store, fresh=True)
    assert phases(events).count("distill") == 4
    assert not store.checkpoint(job.distillation.key).exists()


@pytest.mark.parametrize("what", ["artifact", "note", "missing artifact"])
def test_a_damaged_store_is_distilled_again(
    store: Store, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = job_of("walk")
    (first, _), _ = run(job, store)
    assert first.artifact is not None
    path = store.artifact(first.artifact)
    if what == "note":
        (path,) = (store.root / "distillations").iterdir()
    if what == "missing artifact":
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[-3] ^= 1
        path.write_bytes(content)
    (again, _), events = run(job, store)
    assert "distill" in phases(events)
    assert "It is distilled again" in caplog.text
    assert again.artifact == first.artifact
    assert artifacts.load(store.artifact(first.artifact)).header is not None


def test_a_set_under_another_ones_name_is_not_taken(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    job, other = job_of("walk"), job_of("walk", iterations=2)
    (mine, _), _ = run(job, store)
    (theirs, _), _ = run(other, store)
    assert mine.artifact is not None
    assert theirs.artifact is not None
    store.artifact(theirs.artifact).replace(store.artifact(mine.artifact))
    (again, _), _ = run(job, store)
    assert "holds another distillation than its name says" in caplog.text
    assert again.metrics == mine.metrics


def test_the_whole_training_set_is_not_stored_again(store: Store) -> None:
    (record, _), _ = run(job_of("whole"), store)
    assert record.status == "ok"
    assert record.artifact is None
    assert record.cost.stored_bytes == tiny_pair().train.stored_bytes
    assert not (store.root / "artifacts").exists()


def test_the_validation_split_hands_out_no_test_image(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[RealSet] = []
    rules = TINY_GRID["quick"]
    evaluate = type(rules).evaluate

    def watching(self: Any, entries: Sequence[Entry], exam: Exam) -> Any:
        seen.append(exam.test)
        return evaluate(self, entries, exam)

    monkeypatch.setattr(type(rules), "evaluate", watching)
    job = job_of("whole", split="validation")
    (record, _), events = run(job, store)
    assert record.status == "ok"
    assert record.trial.split == "validation"
    assert record.trial.evaluation_seed >= 1000
    pair = tiny_pair()
    train = [image.tobytes() for image in pair.train.pixels.numpy()]
    scored = [image.tobytes() for image in seen[0].pixels.numpy()]
    assert len(scored) == 6  # one in ten of each class
    assert set(scored) <= set(train)
    assert not set(scored) & {image.tobytes() for image in pair.test.pixels.numpy()}
    assert record.cost.stored_bytes == 54 * (64 + 8)  # the rest of the training images
    (correct,) = {event.correct for event in events if isinstance(event, Finished)}
    assert correct is not None
    assert len(correct) == 1
