"""A contribution is examined, and every fault told with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from bench import artifacts, records, runner
from bench.data import SyntheticSet
from bench.errors import InvalidValue, MissingData
from bench.records import Costs, Record
from bench.specs import Budget, Header
from leaderboard import submitting, supersession
from leaderboard.contribution import Fault
from leaderboard.installed import installed_hash
from leaderboard.publish import publish
from leaderboard.rerun import Repetition, cheapest
from leaderboard.submission import examine
from leaderboard.supersession import Supersession
from tests.records import ENVIRONMENT, correct_of

MakeRecord = Callable[..., Record]

RESULTS = Path("leaderboard/results")
FILE = Path("runs/records/ipc-grid-v1/quick/digits/dm.jsonl")


def known_rules(protocol: str, version: int, tier: str) -> str | None:
    return "a" * 64 if (protocol, version, tier) == ("ipc-grid", 1, "quick") else None


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def add(*made: Record, root: str = "runs/records", correct: bytes | None = None) -> None:
    for record in made:
        given = correct_of(record) if correct is None else correct
        records.append(Path(root), record, given)


def faults(*paths: Path) -> list[str]:
    return [str(fault) for fault in examine(paths, RESULTS, known_rules).faults]


def test_a_sound_file_has_no_fault(record: MakeRecord) -> None:
    add(record("dm", 0.5), record("dm", 0.5, 1), correct=b"\x0f")
    found = examine([FILE], RESULTS, known_rules)
    assert (len(found.entries), found.faults) == (2, [])


def test_every_fault_is_told_with_its_line(record: MakeRecord) -> None:
    add(record("dm", 0.5))
    with FILE.open("a") as stream:
        stream.write('broken\n\n{"schema": 1}\n')
    add(
        record("dm", 0.5, 1, trial={"protocol_hash": "b" * 64}),
        record("dm", 0.5, 2).model_copy(update={"id": "f" * 64}),
        record("dm", None, 3, status="failed", reason="killed"),
        record("dm", 0.5, 4, environment={"commit": "c" * 40 + "-dirty"}),
        record("dm", None, 5),
    )
    told = faults(FILE)
    assert [sentence.removeprefix(f"{FILE}:").partition(":")[0] for sentence in told] == [
        *"2456789"
    ]
    for sentence, words in zip(
        told,
        (
            "no record of schema 1",
            "no record of schema 1",
            "under other rules than ipc-grid v1",
            "not the digest of its coordinates",
            "ended failed",
            "uncommitted changes",
            "states no metric",
        ),
        strict=True,
    ):
        assert words in sentence


def test_one_line_may_have_several_faults(record: MakeRecord) -> None:
    add(record("dm", 0.5, split="validation", environment={"commit": "c-dirty"}))
    assert len(faults(FILE)) == 2


def test_other_protocols_must_come_first(record: MakeRecord) -> None:
    add(record("dm", 0.5, trial={"version": 2}))
    (sentence,) = faults(Path("runs/records/ipc-grid-v2/quick/digits/dm.jsonl"))
    assert "ipc-grid v2 (quick), which is not installed" in sentence


def test_repetitions_are_refused_unless_from_another_origin(record: MakeRecord) -> None:
    add(record("dm", 0.5), root=str(RESULTS))
    add(
        record("dm", 0.6),
        record("dm", 0.5, 1),
        record("dm", 0.5, 1),
        record("dm", 0.5, environment={"device": "CPU Otherium"}),
    )
    first, second = faults(FILE)
    assert first == f"{FILE}:1: repeats a published measurement; leave it out."
    assert second == f"{FILE}:3: repeats the measurement of {FILE}:2."


def test_a_published_file_is_no_repetition_of_itself(record: MakeRecord) -> None:
    add(record("dm", 0.5))
    publish(Path("runs/records"), RESULTS, known_rules)
    path = RESULTS / FILE.relative_to("runs/records")
    assert faults(path) == []
    add(record("dm", 0.6, time="2025-07-01T00:00:00Z"))
    publish(Path("runs/records"), RESULTS, known_rules, "wrong before")
    assert faults(path) == []


def test_a_file_of_the_results_must_lie_where_it_belongs(record: MakeRecord) -> None:
    add(record("dm", 0.5), root=str(RESULTS))
    path = RESULTS / FILE.relative_to("runs/records")
    moved = path.rename(path.with_name("mine.jsonl"))
    records.correct_path(path).rename(records.correct_path(moved))
    assert faults(moved) == [f"{moved}:1: belongs in {path}."]


def test_correctness_must_agree_and_belong(record: MakeRecord) -> None:
    add(record("dm", 0.9), correct=b"\x0f")
    companion = records.correct_path(FILE)
    with companion.open("a") as stream:
        stream.write(records.correct_line("e" * 64, b"\x0f"))
    strange, disagrees = faults(companion)  # a companion stands for its record file
    assert strange == f"{companion}: trial {'e' * 12} has per-image correctness and no record."
    assert "another accuracy than its per-image correctness" in disagrees


def test_an_accuracy_needs_its_correctness_line_by_line(record: MakeRecord) -> None:
    add(record("dm", 0.5), record("dm", 0.5, 1), record("dm", None, 2, status="diverged"))
    companion = records.correct_path(FILE)
    companion.write_text(companion.read_text().splitlines(keepends=True)[1])
    (sentence,) = faults(FILE)
    assert sentence.startswith(f"{FILE}:1: states an accuracy without its per-image correctness")
    companion.unlink()
    assert len(faults(FILE)) == 2


LATER = "2025-07-01T00:00:00Z"


def supersede(replaced: Record, by: Record, trial: str) -> None:
    """Append to the log beside ``FILE``."""
    entry = Supersession(
        trial=trial, replaced=supersession.name(replaced), by=supersession.name(by), reason="mine"
    )
    with FILE.with_suffix(".superseded").open("a") as stream:
        stream.write(entry.line())


def test_every_supersession_that_may_not_be_is_told_with_its_line(record: MakeRecord) -> None:
    old, new = record("dm", 0.5), record("dm", 0.6, time=LATER)
    other = record("dm", 0.1, 1, time=LATER)
    add(old, other, new)
    supersede(old, new, old.id)
    supersede(old, other, old.id)
    supersede(old, other, other.id)
    supersede(new, old, old.id)
    absent = record("dm", 0.7, time=LATER)
    supersede(old, absent, old.id)
    log, name = FILE.with_suffix(".superseded"), supersession.name
    foreign = "which is no record of trial"
    expected = (
        (2, f"puts {name(other)[:12]} in its place, {foreign} {old.id[:12]} here."),
        (3, f"replaces {name(old)[:12]}, {foreign} {other.id[:12]} here."),
        (4, f"puts a record of {old.time} in the place of one of {LATER}; give a newer."),
        (5, f"puts {name(absent)[:12]} in its place, {foreign} {old.id[:12]} here."),
    )
    told = [f"{log}:{line}: {words}" for line, words in expected]
    assert faults(FILE) == told


def test_a_damaged_log_is_told(record: MakeRecord) -> None:
    add(record("dm", 0.5))
    log = FILE.with_suffix(".superseded")
    log.write_text("broken\n")
    assert faults(FILE) == [f"{log}: {log}:1 is no supersession."]


TRUSTED = Path("judge/results")


def test_what_is_published_is_not_judged_again(record: MakeRecord) -> None:
    before = record("dm", 0.5, trial={"protocol_hash": "b" * 64})  # sound under its own rules
    new = record("dm", 0.5, 1)
    add(before, root=str(TRUSTED))
    add(before, new, root=str(RESULTS))
    path = RESULTS / FILE.relative_to("runs/records")
    found = examine([path], RESULTS, known_rules, TRUSTED)
    assert (found.contributed, found.faults) == ([new], [])
    assert len(examine([path], RESULTS, known_rules).faults) == 1


def test_what_is_published_may_neither_be_repeated_nor_moved(record: MakeRecord) -> None:
    before = record("dm", 0.5)
    add(before, root=str(TRUSTED))
    add(before, before, before.model_copy(update={"time": LATER}), root=str(RESULTS))
    path = RESULTS / FILE.relative_to("runs/records")
    told = [str(fault) for fault in examine([path], RESULTS, known_rules, TRUSTED).faults]
    assert told == [f"{path}:{line}: repeats the measurement of {path}:1." for line in (2, 3)]
    moved = path.rename(path.with_name("mine.jsonl"))
    assert len(examine([moved], RESULTS, known_rules, TRUSTED).contributed) == 3


@pytest.fixture
def artifact() -> tuple[Path, str]:
    """A synthetic set as ``dm`` of the fake records makes it, with its digest."""
    header = Header(
        dataset="digits",
        classes=tuple("0123456789"),
        budget=Budget("ipc", 1),
        preprocessing={"kind": "normalize", "mean": [0.3], "std": [0.4]},
        method="dm",
        parameters={"iterations": 1000, "lr_images": 1.0},
    )
    images = SyntheticSet(images=torch.zeros(10, 1, 16, 16), labels=torch.arange(10), header=header)
    path = Path("set.safetensors")
    return path, artifacts.save(images, path)


def stored(record: Record) -> Record:
    """The record with the bytes that the set of these tests has."""
    size = 10 * 16 * 16 * 4 + 10 * 8
    return record.model_copy(update={"cost": record.cost.model_copy(update={"stored_bytes": size})})


def test_a_set_that_its_record_describes_passes(
    record: MakeRecord, artifact: tuple[Path, str]
) -> None:
    path, sha256 = artifact
    add(stored(record("dm", 0.5, artifact=sha256)), record("dm", 0.5, 1, artifact="f" * 64))
    found = examine([FILE, path], RESULTS, known_rules)
    assert (found.artifacts, found.missing, found.faults) == (1, 1, [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"budget": 10}, "states budget 'ipc 10', but it is 'ipc 1'"),
        ({"labels": "soft"}, "states labels 'soft', but it is 'hard'"),
        ({"parameters": {"iterations": 5}}, "states parameters {'iterations': 5}, but"),
    ],
)
def test_a_set_of_another_making_is_a_fault(
    record: MakeRecord, artifact: tuple[Path, str], change: dict[str, Any], words: str
) -> None:
    path, sha256 = artifact
    add(stored(record("dm", 0.5, artifact=sha256, **change)))
    (sentence,) = faults(FILE, path)
    assert sentence.startswith(f"{FILE}:1: {words}")


def test_a_set_without_a_record_and_a_damaged_one_are_faults(
    record: MakeRecord, artifact: tuple[Path, str]
) -> None:
    path, sha256 = artifact
    add(record("dm", 0.5))
    assert faults(FILE, path) == [f"{path}: no record names it (SHA-256 {sha256})."]
    path.write_bytes(path.read_bytes()[:-1])
    (sentence,) = faults(FILE, path)
    assert "damaged" in sentence


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (["nowhere.jsonl"], MissingData),
        (["x.txt"], InvalidValue),
        (["s.safetensors"], InvalidValue),
    ],
)
def test_what_is_no_contribution_is_refused(names: list[str], error: type[Exception]) -> None:
    for name in ("x.txt", "s.safetensors"):
        Path(name).write_text("")
    with pytest.raises(error):
        examine(list(map(Path, names)), RESULTS, known_rules)


def test_faults_are_sorted_by_place() -> None:
    faults = [Fault(path="a", line=10, sentence=""), Fault(path="a", line=9, sentence="")]
    assert sorted(faults)[0].line == 9


def submit(*words: str) -> Result:
    app = typer.Typer()
    app.command()(submitting.submit)
    return CliRunner().invoke(app, words)


def test_the_command_prints_faults_and_fails(record: MakeRecord) -> None:
    add(record("dm", 0.5))
    result = submit(str(FILE))
    assert result.exit_code == 1  # the fake hash is not that of the installed protocol
    assert f"{FILE}:1: was made under other rules" in result.stderr
    (fault,) = json.loads(submit(str(FILE), "--json").stdout)["faults"]
    assert (fault["path"], fault["line"]) == (str(FILE), 1)


def test_a_real_run_passes_and_its_cheapest_trial_repeats(registered: None) -> None:
    plan = runner.plan(
        runner.Options(
            protocol="tiny-grid", methods=("walk",), seeds=2, tracks=("standard",), jobs=1
        )
    )
    made = runner.execute(plan, lambda event: None)
    path = records.path_of(Path("runs/records"), made[0].trial, "walk")
    clean = [
        entry.model_copy(
            update={"environment": entry.environment.model_copy(update={"commit": "c" * 40})}
        )
        for entry in made
    ]
    path.write_text("".join(entry.line() for entry in clean))
    sets = [f"runs/artifacts/{entry.artifact}.safetensors" for entry in made]
    result = submit(str(path), *sets, "--rerun", "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["records"], answer["artifacts"], answer["missing_artifacts"]) == (2, 2, 0)
    assert answer["rerun"]["difference"] == 0
    assert "+0.0 points" in submit(str(path), "--rerun").stdout


def test_the_cheapest_is_chosen_among_what_is_new(
    record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Record] = []

    def rerun(stated: Record, data_root: Path | None) -> Repetition:
        ran.append(stated)
        return Repetition(stated=stated, measured=stated)

    monkeypatch.setattr("leaderboard.rerun.rerun", rerun)
    monkeypatch.setattr(submitting, "installed_hash", known_rules)
    cheap, new = record("dm", 0.5, cost=Costs()), record("dm", 0.5, 1)
    add(cheap, root=str(TRUSTED))
    add(cheap, new, root=str(RESULTS))
    path = str(RESULTS / FILE.relative_to("runs/records"))
    assert "1 records" in submit(path, "--rerun", "--published", str(TRUSTED)).stdout
    assert submit(path, "--rerun").exit_code == 0
    assert ran == [new, cheap]


def test_a_trial_that_the_installed_rules_do_not_plan_is_a_fault(registered: None) -> None:
    plan = runner.plan(
        runner.Options(protocol="tiny-grid", methods=("walk",), seeds=1, tracks=("standard",))
    )
    (trial,) = plan.trials
    distilled = replace(trial.distillation, seed=777, checksum="d" * 64)
    chosen = replace(trial, seed=777, distillation=distilled)
    facts = {"status": "skipped", "reason": "-", "environment": ENVIRONMENT, "time": LATER}
    add(Record.of(chosen, **facts))
    (path,) = records.files(Path("runs/records"))
    (fault,) = examine([path], RESULTS, installed_hash).faults
    assert "is no trial that the rules of tiny-grid v1 (quick) plan" in fault.sentence


STRANGE = pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({"method": "towards-the-mean"}, "method 'towards-the-mean'"),
        ({"method_version": 99}, "version 99 of method 'dm'"),
        ({"dataset": "mine"}, "dataset 'mine'"),
    ],
)


@STRANGE
def test_what_is_not_installed_is_remarked_and_no_fault(
    record: MakeRecord, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], what: str
) -> None:
    monkeypatch.setattr(submitting, "installed_hash", known_rules)
    add(record(**facts), record(seed=1, **facts))
    (path,) = records.files(Path("runs/records"))
    result = submit(str(path), "--rerun")
    assert result.exit_code == 0, result.output
    assert "0 faults" in result.stdout
    assert "Run again: nothing" in result.stdout
    assert f"The {what} is not installed here: whether the rules plan 2 of the" in result.stderr
    answer = json.loads(submit(str(path), "--rerun", "--json").stdout)
    assert (len(answer["remarks"]), answer["faults"], answer["rerun"]) == (1, [], None)


def test_another_trial_is_run_again_where_the_cheapest_cannot(
    record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "leaderboard.rerun.rerun", lambda stated, _: Repetition(stated=stated, measured=stated)
    )
    monkeypatch.setattr(submitting, "installed_hash", known_rules)
    here = record("dm", 0.5)
    add(record("towards-the-mean", 0.5, cost=Costs()), here)
    found = submit(*map(str, records.files(Path("runs/records"))), "--rerun", "--json")
    assert json.loads(found.stdout)["rerun"]["trial"] == here.id


def test_the_cheapest_good_record_is_chosen(record: MakeRecord) -> None:
    quick = record("dm", 0.5)
    cheap = quick.cost.model_copy(update={"distill": None})
    quick = quick.model_copy(update={"cost": cheap})
    failed = record("dm", None, 1, status="failed", cost=cheap)
    assert cheapest([record("dm", 0.5, 2), quick, failed]) == quick
    assert cheapest([failed]) is None
