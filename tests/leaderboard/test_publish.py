"""Publishing appends what is sound and new, and touches nothing that stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import records
from bench.datasets import describe
from bench.planning import Request, load_rules
from bench.records import Record
from bench.specs import Budget
from leaderboard.installed import installed_hash
from leaderboard.publish import Outcome, publish
from leaderboard.reading import read
from leaderboard.submission import examine
from leaderboard.supersession import Supersession, name
from tests.records import correct_of, record_of

MakeRecord = Callable[..., Record]


def known_rules(protocol: str, version: int, tier: str) -> str | None:
    return "a" * 64 if (protocol, version, tier) == ("ipc-grid", 1, "quick") else None


class Folders:
    """A store's records and the published results."""

    def __init__(self, root: Path) -> None:
        self.store = root / "runs" / "records"
        self.results = root / "results"
        self.file = self.results / "ipc-grid-v1" / "quick" / "digits" / "dm.jsonl"

    def add(self, *made: Record, correct: bytes | None = None) -> None:
        for record in made:
            given = correct_of(record) if correct is None else correct
            records.append(self.store, record, given)

    def publish(self, reason: str = "") -> Outcome:
        return publish(self.store, self.results, known_rules, reason)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_finished_trials_are_published_with_their_correctness(
    folders: Folders, record: MakeRecord
) -> None:
    good = record("dm", 0.5)
    folders.add(good, correct=b"\x0f")
    folders.add(record("dm", None, 1, status="diverged", reason="NaN"))
    folders.add(record("dm", None, 2, status="skipped", reason="needs colour"))
    outcome = folders.publish()
    assert (outcome.published, outcome.refused, outcome.faults) == (3, [], [])
    assert [published.status for published in records.read(folders.file)] == [
        "ok",
        "diverged",
        "skipped",
    ]
    assert records.read_correct(folders.file) == {good.id: (b"\x0f",)}


def test_publishing_again_adds_nothing(folders: Folders, record: MakeRecord) -> None:
    folders.add(record("dm", 0.5), record("dm", 0.25, 1), correct=None)
    folders.publish()
    before = folders.file.read_bytes()
    outcome = folders.publish()
    assert (outcome.published, outcome.present) == (0, 2)
    assert folders.file.read_bytes() == before


def test_what_stands_is_never_rewritten(folders: Folders, record: MakeRecord) -> None:
    folders.add(record("dm", 0.5))
    folders.publish()
    before = folders.file.read_bytes()
    folders.add(record("dm", 0.9, time="2030-01-01T00:00:00Z"), record("dm", 0.6, 1))
    assert folders.publish().published == 1
    assert folders.file.read_bytes().startswith(before)
    assert [r.metrics["accuracy"] for r in records.read(folders.file)] == [0.5, 0.6]


def test_a_trial_that_ran_twice_is_published_once(folders: Folders, record: MakeRecord) -> None:
    folders.add(
        record("dm", 0.5),
        record("dm", 0.6, time="2025-07-01T00:00:00Z"),
        record("dm", None, status="failed", reason="killed", time="2025-08-01T00:00:00Z"),
    )
    assert folders.publish().published == 1
    assert [r.metrics["accuracy"] for r in records.read(folders.file)] == [0.6]


def test_unfinished_and_validation_trials_are_left(folders: Folders, record: MakeRecord) -> None:
    folders.add(
        record("dm", None, 0, status="failed", reason="killed"),
        record("dm", None, 1, status="oom", reason="full"),
        record("dm", 0.5, 2, split="validation"),
    )
    outcome = folders.publish()
    assert (outcome.published, outcome.left) == (0, 3)
    assert not folders.results.exists()


def test_other_rules_than_the_installed_ones_are_refused(
    folders: Folders, record: MakeRecord
) -> None:
    folders.add(record("dm", 0.5, trial={"protocol_hash": "b" * 64}), record("dm", 0.5, 1))
    outcome = folders.publish()
    assert outcome.published == 1
    (sentence,) = outcome.refused
    assert "other rules than ipc-grid v1 (quick): hash bbbbbbbbbbbb, not aaaaaaaaaaaa" in sentence


def in_the_store(folders: Folders) -> list[str]:
    """What ``bench submit`` says of the store's files."""
    told = examine(list(records.files(folders.store)), folders.results, known_rules).faults
    return [fault.sentence for fault in told]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"environment": {"commit": "c" * 40 + "-dirty"}}, "uncommitted changes"),
        ({"environment": {"commit": ""}}, "knows no commit; install it with `pip install -e .`"),
        ({"trial": {"version": 2}}, "ipc-grid v2 (quick), which is not installed"),
        ({"accuracy": None}, "states no metric"),
    ],
)
def test_what_submit_refuses_is_not_published(
    folders: Folders, record: MakeRecord, facts: dict[str, Any], words: str
) -> None:
    folders.add(record("dm", **{"accuracy": 0.5} | facts))
    outcome = folders.publish()
    assert (outcome.published, folders.results.exists()) == (0, False)
    (refused,), (told,) = outcome.refused, in_the_store(folders)
    assert words in told
    assert refused.endswith(told)


def test_everything_that_speaks_against_a_record_is_said_at_once(
    folders: Folders, record: MakeRecord
) -> None:
    folders.add(record("dm", None, environment={"commit": "c-dirty"}))
    (refused,) = folders.publish().refused
    assert refused.endswith(" It ".join(in_the_store(folders)))
    assert " It was made from a checkout with uncommitted changes;" in refused


def test_a_trial_that_the_installed_rules_do_not_plan_is_not_published(folders: Folders) -> None:
    rules = load_rules("ipc-grid", "quick")
    request = Request(
        methods=("dm",),
        specs={"digits": describe("digits")},
        checksums={"digits": "d" * 64},
        seeds=1,
        tracks=("standard",),
    )
    planned, *_ = rules.plan(request)
    distilled = replace(planned.distillation, seed=777)
    chosen = replace(planned, seed=777, distillation=distilled)
    folders.add(record_of(planned, 0.5), record_of(chosen, 0.9))
    outcome = publish(folders.store, folders.results, installed_hash)
    assert [found.id for found in records.read_all(folders.results)] == [planned.id]
    assert "is no trial that the rules of ipc-grid v1 (quick) plan" in outcome.refused[0]


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": {"epochs": 1}},
        {"recipe": {"surprise": 1}},
        {"recipe": {"epochs": "many"}},
        {"id": "f" * 64},
    ],
)
def test_a_record_that_contradicts_its_id_is_refused(
    folders: Folders, record: MakeRecord, change: dict[str, object]
) -> None:
    folders.add(record("dm", 0.5).model_copy(update=change))
    outcome = folders.publish()
    assert outcome.published == 0
    assert "not the digest of its coordinates" in outcome.refused[0]


MERGED = {"merged_seeds": (100, 200)}
DEPLOYED = {"deployed": Budget("inpc", 10)}
BORROWED = {"evaluates": "dm-kd"}


@pytest.mark.parametrize(
    "trial", [MERGED, DEPLOYED, BORROWED], ids=["merged", "deployed", "borrowed"]
)
def test_students_of_several_sets_and_of_deployed_generators_are_published(
    folders: Folders, record: MakeRecord, trial: dict[str, object]
) -> None:
    folders.add(record("dm", 0.5, budget="inpc 1", trial=trial))
    outcome = folders.publish()
    assert (outcome.published, outcome.refused) == (1, [])


@pytest.mark.parametrize(
    ("trial", "claim"),
    [
        (MERGED, {"merged_seeds": ()}),
        (MERGED, {"merged_seeds": (100,)}),
        (MERGED, {"merged_seeds": (200, 100)}),
        ({}, {"merged_seeds": (100,)}),
        (DEPLOYED, {"distilled_for": None}),
        (DEPLOYED, {"distilled_for": Budget("inpc", 2)}),
        (DEPLOYED, {"budget": Budget("inpc", 1)}),
        ({}, {"distilled_for": Budget("inpc", 10)}),
        (BORROWED, {"distilled_by": None}),
        (BORROWED, {"distilled_by": "dc"}),
        ({}, {"distilled_by": "dc"}),
    ],
)
def test_a_record_that_hides_how_its_images_were_made_is_refused(
    folders: Folders, record: MakeRecord, trial: dict[str, object], claim: dict[str, object]
) -> None:
    honest = record("dm", 0.5, budget="inpc 1", trial=trial)
    folders.add(honest.model_copy(update={"trial": honest.trial.model_copy(update=claim)}))
    outcome = folders.publish()
    assert outcome.published == 0
    assert "not the digest of its coordinates" in outcome.refused[0]


@pytest.mark.parametrize(
    ("correct", "accuracy", "sound"),
    [
        (b"\xf0", 0.5, True),
        (b"\xe0", 3 / 7, True),  # seven images and one bit of padding
        (b"\x00", 0.0, True),
        (b"\xff\xff", 1.0, True),
        (b"\xf0", 0.9, False),
        (b"\xff", 0.5, False),
        (b"", 0.5, False),
    ],
)
def test_accuracy_must_be_what_the_single_images_say(
    folders: Folders, record: MakeRecord, correct: bytes, accuracy: float, sound: bool
) -> None:
    folders.add(record("dm", accuracy), correct=correct)
    assert (folders.publish().published == 1) == sound


def test_an_accuracy_without_single_images_is_refused(folders: Folders, record: MakeRecord) -> None:
    records.append(folders.store, record("dm", 0.5))
    outcome = folders.publish()
    assert outcome.published == 0
    assert "states an accuracy without its per-image correctness" in outcome.refused[0]


def test_a_broken_line_in_the_store_is_told_and_the_rest_published(
    folders: Folders, record: MakeRecord
) -> None:
    folders.add(record("dm", 0.5))
    path = records.path_of(folders.store, record().trial, "dm")
    path.write_text("broken\n" + path.read_text())
    outcome = folders.publish()
    assert outcome.published == 1
    assert f"{path}:1" in str(outcome.faults[0])


def test_a_broken_published_line_is_told_and_left(folders: Folders, record: MakeRecord) -> None:
    folders.add(record("dm", 0.5))
    folders.publish()
    folders.file.write_text(folders.file.read_text() + "broken\n")
    folders.add(record("dm", 0.6, 1))
    outcome = folders.publish()
    assert (outcome.published, outcome.present) == (1, 1)
    assert f"{folders.file}:2" in str(outcome.faults[0])
    assert "broken\n" in folders.file.read_text()


def test_a_damaged_companion_stops_its_file_alone(folders: Folders, record: MakeRecord) -> None:
    folders.add(record("dm", 0.5), record("random", 0.5), correct=b"\x0f")
    path = records.path_of(folders.store, record().trial, "dm")
    records.correct_path(path).write_text("broken\n")
    outcome = folders.publish()
    assert outcome.published == 1
    assert "dm.correct.jsonl:1" in str(outcome.faults[0])


def test_a_kill_between_the_two_files_is_made_good(folders: Folders, record: MakeRecord) -> None:
    folders.add(record("dm", 0.5), correct=b"\x0f")
    folders.publish()
    folders.file.unlink()  # correctness stands, its record does not
    assert folders.publish().published == 1
    companion = records.correct_path(folders.file)
    assert len(companion.read_text().splitlines()) == 1


LATER = "2025-07-01T00:00:00Z"


def test_another_origin_repeats_a_published_trial(folders: Folders, record: MakeRecord) -> None:
    folders.add(record("dm", 0.5))
    folders.publish()
    folders.add(record("dm", 0.6, time=LATER, environment={"commit": "e" * 40}))
    outcome = folders.publish()
    assert (outcome.published, outcome.repeated, outcome.superseded) == (1, 1, 0)
    assert [r.metrics["accuracy"] for r in records.read(folders.file)] == [0.5, 0.6]
    assert len(read([folders.results]).records) == 2
    assert folders.publish().published == 0


def test_a_newer_record_supersedes_with_a_reason(folders: Folders, record: MakeRecord) -> None:
    folders.add(record("dm", 0.5), correct=b"\x0f")
    folders.publish()
    before = folders.file.read_bytes()
    folders.add(record("dm", 0.25, time=LATER), correct=b"\x03")
    outcome = folders.publish("evaluated wrongly")
    assert (outcome.published, outcome.repeated, outcome.superseded) == (1, 0, 1)
    assert folders.file.read_bytes().startswith(before)
    found = read([folders.results])
    assert [r.metrics["accuracy"] for r in found.records] == [0.25]
    assert [r.metrics["accuracy"] for r in found.superseded] == [0.5]
    assert found.correct == {record().id: b"\x03"}
    assert "evaluated wrongly" in folders.file.with_suffix(".superseded").read_text()
    assert folders.publish("evaluated wrongly").published == 0


REPETITIONS = pytest.mark.parametrize(
    ("environment", "reason"), [({"commit": "e" * 40}, ""), ({}, "evaluated wrongly")]
)


@REPETITIONS
def test_every_record_of_a_trial_keeps_its_correctness(
    folders: Folders, record: MakeRecord, environment: dict[str, str], reason: str
) -> None:
    folders.add(record("dm", 0.5), correct=b"\x0f")
    folders.publish()
    folders.add(record("dm", 0.25, time=LATER, environment=environment), correct=b"\x03")
    assert folders.publish(reason).published == 1
    assert records.read_correct(folders.file) == {record().id: (b"\x0f", b"\x03")}
    assert examine([folders.file], folders.results, known_rules).faults == []
    assert read([folders.results]).correct == {record().id: b"\x03"}
    folders.add(record("dm", 0.25, 1), correct=b"\x03")  # the next contribution to the file
    assert folders.publish().published == 1
    assert examine([folders.file], folders.results, known_rules).faults == []


def test_correctness_that_stands_already_is_not_written_twice(
    folders: Folders, record: MakeRecord
) -> None:
    folders.add(record("dm", 0.5), correct=b"\x0f")
    folders.publish()
    folders.add(record("dm", 0.5, time=LATER, environment={"commit": "e" * 40}), correct=b"\x0f")
    assert folders.publish().repeated == 1
    assert records.read_correct(folders.file) == {record().id: (b"\x0f",)}


def test_a_line_appended_later_displaces_no_published_correctness(
    folders: Folders, record: MakeRecord
) -> None:
    folders.add(record("dm", 0.5), correct=b"\x0f")
    folders.publish()
    with records.correct_path(folders.file).open("a") as stream:
        stream.write(records.correct_line(record().id, b"\xf0"))
    assert read([folders.results]).correct == {record().id: b"\x0f"}


def test_a_student_repeated_alone_is_refused(folders: Folders, record: MakeRecord) -> None:
    folders.add(record("dm", 0.5, 3, trial={"seed": 4}))
    outcome = folders.publish()
    assert outcome.published == 0
    assert "repeats the student alone" in outcome.refused[0]


@pytest.mark.parametrize("hidden", ["by another trial", "of another trial", "by an older record"])
def test_no_log_hides_a_record_behind_anything_but_a_newer_one_of_its_trial(
    folders: Folders, record: MakeRecord, hidden: str
) -> None:
    good, newer = record("dm", 0.9), record("dm", 0.1, time=LATER)
    other = record("dm", 0.1, 1, time=LATER)
    trial, replaced, by = {
        "by another trial": (good.id, good, other),
        "of another trial": (other.id, good, other),
        "by an older record": (good.id, newer, good),
    }[hidden]
    for entry in (good, newer, other):
        records.append(folders.results, entry)
    log = Supersession(trial=trial, replaced=name(replaced), by=name(by), reason="mine is better")
    folders.file.with_suffix(".superseded").write_text(log.line())
    assert read([folders.results]).superseded == []


def test_an_older_record_supersedes_nothing(folders: Folders, record: MakeRecord) -> None:
    folders.add(record("dm", 0.5, time=LATER))
    folders.publish()
    path = records.path_of(folders.store, record().trial, "dm")
    path.write_text(record("dm", 0.25).line())
    outcome = folders.publish("no")
    assert (outcome.published, outcome.present) == (0, 1)


def test_a_supersession_without_its_record_hides_nothing(
    folders: Folders, record: MakeRecord
) -> None:
    folders.add(record("dm", 0.5))
    folders.publish()
    before = folders.file.read_bytes()
    folders.add(record("dm", 0.25, time=LATER))
    folders.publish("wrong")
    folders.file.write_bytes(before)  # as a kill between the two files leaves them
    assert [r.metrics["accuracy"] for r in read([folders.results]).records] == [0.5]
    assert folders.publish("wrong").published == 1
    assert [r.metrics["accuracy"] for r in read([folders.results]).records] == [0.25]


def test_a_damaged_log_is_told_and_hides_nothing(folders: Folders, record: MakeRecord) -> None:
    folders.add(record("dm", 0.5))
    folders.publish()
    log = folders.file.with_suffix(".superseded")
    log.write_text("broken\n")
    found = read([folders.results])
    assert len(found.records) == 1
    assert f"{log}:1 is no supersession" in str(found.faults[0])
