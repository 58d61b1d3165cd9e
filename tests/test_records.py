"""Record lines and files: whole through kills, refused when damaged, never mixed up."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench import lines, migrations, records
from bench.errors import BadFile, StoreError
from bench.recipes import Recipe
from bench.records import Coordinates, Cost, Costs, Environment, Record
from bench.specs import Budget
from bench.trials import Distillation, Trial

SCHEMA_FILE = Path(__file__).parents[1] / "leaderboard" / "record.schema.json"


def make(
    seed: int = 0, method: str = "dm", *, trial: dict[str, Any] | None = None, **facts: Any
) -> Record:
    distillation = Distillation(
        method=method,
        version=1,
        parameters={"iterations": 1000, "lr_images": 0.1, "init": "real"},
        dataset="digits",
        checksum="d" * 64,
        preprocessing="normalize",
        split="test",
        budget=Budget("ipc", 1),
        network="convnet-d2",
        seed=seed,
    )
    planned = Trial(
        protocol="ipc-grid",
        version=1,
        protocol_hash="a" * 64,
        tier="quick",
        track="standard",
        distillation=distillation,
        architecture="convnet-d2",
        recipe=Recipe(epochs=300),
        seed=seed,
        preset="quick",
    )
    known: dict[str, Any] = {
        "status": "ok",
        "labels": "hard",
        "metrics": {"accuracy": 1 / 3, "loss": 0.1},
        "cost": Costs(distill=Cost(seconds=0.1, peak_bytes=1), stored_bytes=2),
        "environment": Environment(
            commit="",
            package="0.1.0",
            python="3.11.9",
            torch="2.11.0",
            device="CPU",
            driver="",
            threads=2,
            precision="fp32",
            platform="Linux",
            calibration_seconds=0.5,
        ),
        "time": "2025-06-01T12:00:00Z",
    }
    return Record.of(replace(planned, **(trial or {})), **(known | facts))


def damaged(**changes: Any) -> str:
    """A record's line with some values replaced: ``trial__tier="huge"``."""
    content = json.loads(make().line())
    for place, value in changes.items():
        *path, last = place.split("__")
        target = content
        for name in path:
            target = target[name]
        target[last] = value
    return json.dumps(content)


def path_in(root: Path, method: str = "dm") -> Path:
    return root / "ipc-grid-v1" / "quick" / "digits" / f"{method}.jsonl"


# one line


def test_a_line_is_sorted_json_that_reads_back_unchanged() -> None:
    line = make().line()
    content = json.loads(line)
    assert line.endswith("}\n")
    assert list(content) == sorted(content)
    assert content["schema"] == 1
    assert records.parse(line, "here") == make()
    assert records.parse(line, "here").line() == line


@given(
    st.floats(0, 1), st.floats(0, 1e12), st.text(), st.floats(allow_nan=False, allow_infinity=False)
)
def test_numbers_and_texts_survive_unrounded(
    accuracy: float, seconds: float, reason: str, loss: float
) -> None:
    try:
        reason.encode()
    except UnicodeEncodeError:
        reason = ""
    record = make(
        metrics={"accuracy": accuracy, "loss": loss},
        cost=Costs(prepare=Cost(seconds=seconds, peak_bytes=0)),
        reason=reason,
    )
    assert records.parse(record.line(), "here") == record


def test_the_published_schema_is_the_one_in_force() -> None:
    published = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    assert published == records.json_schema(), (
        "stale: bench leaderboard schema > leaderboard/record.schema.json"
    )


def test_a_line_has_exactly_the_fields_of_the_schema() -> None:
    schema = records.json_schema()
    assert set(json.loads(make().line())) == set(schema["properties"]) == set(schema["required"])
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"metrics__accuracy": 86.4}, "fraction"),
        ({"metrics__accuracy": -0.1}, "fraction"),
        ({"metrics__accuracy": float("nan")}, "finite"),
        ({"metrics__loss": float("inf")}, "finite"),
        ({"metrics__accuracy": "0.5"}, "valid number"),
        ({"id": "abc"}, "id"),
        ({"id": "a" * 64 + "\n"}, "id"),
        ({"trial__tier": "huge"}, "trial.tier"),
        ({"trial__version": "1"}, "trial.version"),
        ({"trial__version": True}, "trial.version"),
        ({"trial__evaluation_seed": -1}, "trial.evaluation_seed"),
        ({"trial__evaluation_seed": 10**30}, "trial.evaluation_seed"),
        ({"trial__budget": {"kind": "ipc", "count": 0}}, "cannot be"),
        ({"trial__budget": {"kind": "ipc", "count": 10**30}}, "cannot be"),
        ({"trial__budget": {"kind": "gigs", "count": 1}}, "trial.budget"),
        ({"environment__calibration_seconds": 1e300}, "environment.calibration_seconds"),
        ({"trial__merged_seeds": [-1]}, "trial.merged_seeds"),
        ({"trial__merged_seeds": 1}, "trial.merged_seeds"),
        ({"trial__distilled_for": {"kind": "inpc", "count": 0}}, "cannot be"),
        ({"trial__dataset": ""}, "trial.dataset"),
        ({"trial__dataset": "x" * 201}, "trial.dataset"),
        ({"trial__dataset": "di\x1b[2Jgits"}, "control"),
        ({"method__parameters": {"lr": float("nan")}}, "finite"),
        ({"method__parameters": {"lr": [1, {"x": float("inf")}]}}, "finite"),
        ({"recipe": {"lr": float("nan")}}, "finite"),
        ({"cost__stored_bytes": -1}, "stored_bytes"),
        ({"cost__stored_bytes": 2**63}, "stored_bytes"),
        ({"cost__distill": {"seconds": -1.0, "peak_bytes": 1}}, "seconds"),
        ({"time": "yesterday"}, "time"),
        ({"time": "\u0662\u0660\u0662\u0665-01-01T12:00:00Z"}, "time"),
        ({"status": "fine"}, "status"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_no_record_may_say_is_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadFile, match=f"^file:7 is no record of schema 1: .*{fault}"):
        records.parse(damaged(**changes), "file:7")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "[]",
        "{",
        "not json",
        '{"a": 1}',
        "[" * 100_000,
        '{"id": "\\ud800"}',
        '{"a": ' + "9" * 10_000 + "}",
        b"\xff\xfe{}",
        b"\x00\x00",
    ],
    ids=range(11),
)
def test_what_is_no_json_object_of_ours_is_refused(line: str | bytes) -> None:
    with pytest.raises(BadFile, match=r"^file:1 is no record"):
        records.parse(line, "file:1")


def test_a_line_of_a_later_schema_asks_for_a_later_version() -> None:
    content = json.loads(make().line()) | {"schema": 2}
    with pytest.raises(BadFile, match=r"^file:7 is of schema 2; this version reads up to 1\."):
        records.parse(json.dumps(content), "file:7")


def test_a_line_of_an_earlier_schema_is_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(facts: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in facts.items() if key != "when"} | {
            "time": facts["when"]
        }

    monkeypatch.setattr(migrations, "MIGRATIONS", {0: renamed})
    today = json.loads(make().line())
    earlier = {key: value for key, value in today.items() if key != "time"}
    earlier |= {"schema": 0, "when": today["time"]}
    assert records.parse(json.dumps(earlier), "file:7") == make()


def test_a_line_that_does_not_say_its_schema_is_refused() -> None:
    content = json.loads(make().line())
    del content["schema"]
    with pytest.raises(BadFile, match="schema: Field required"):
        records.parse(json.dumps(content), "file:1")


def test_a_fault_never_repeats_control_characters() -> None:
    line = damaged(**{"\x1b[31mkey\u202e": 1})
    with pytest.raises(BadFile) as caught:
        records.parse(line, "file:1")
    assert str(caught.value).isprintable()


def test_a_record_that_no_line_could_hold_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValidationError, match="fraction"):
        make(metrics={"accuracy": 86.4})
    with pytest.raises(ValidationError, match="plain finite values"):
        Record.model_validate(make().model_dump() | {"recipe": {"lr": float("inf")}})
    with pytest.raises(ValidationError, match="plain finite values"):
        Record.model_validate(make().model_dump() | {"recipe": {"lr": "\ud800"}})


def test_a_generators_record_says_what_it_serves_and_what_it_was_distilled_for() -> None:
    where = make(trial={"deployed": Budget("inpc", 10)}).trial
    assert (where.budget, where.distilled_for) == (Budget("inpc", 10), Budget("ipc", 1))
    assert (make().trial.budget, make().trial.distilled_for) == (Budget("ipc", 1), None)


def test_a_merged_sets_record_names_every_seed() -> None:
    record = make(seed=3, trial={"merged_seeds": (103, 203)})
    assert record.trial.distillation_seed == 3
    assert record.trial.merged_seeds == (103, 203)
    assert records.parse(record.line(), "here") == record


YOUNGER = {"distilled_by", "distilled_for", "merged_seeds"}
"""Coordinates that the first published records lack."""


def test_a_record_from_before_a_coordinate_was_added_stands() -> None:
    content = json.loads(make().line())
    for name in YOUNGER:
        del content["trial"][name]
    assert records.parse(json.dumps(content), "here") == make()
    required = records.json_schema()["$defs"]["Coordinates"]["required"]
    assert not YOUNGER & set(required)
    assert set(required) == content["trial"].keys()


# files


def test_appended_records_are_read_back_in_order(tmp_path: Path) -> None:
    for seed in (2, 0, 1):
        records.append(tmp_path, make(seed))
    read = list(records.read(path_in(tmp_path)))
    assert [record.trial.distillation_seed for record in read] == [2, 0, 1]
    assert records.read_all(tmp_path) == read


def test_correctness_stands_in_the_companion_and_in_no_listing(tmp_path: Path) -> None:
    record = make()
    records.append(tmp_path, record, bytes([0b10110000]))
    path = path_in(tmp_path)
    assert records.read_correct(path) == {record.id: (bytes([0b10110000]),)}
    assert records.files(tmp_path) == [path]


def test_a_trial_measured_twice_keeps_the_correctness_of_both(tmp_path: Path) -> None:
    for record, correct in ((make(0), b"\x01"), (make(1), b"\x07"), (make(0), b"\x03")):
        records.append(tmp_path, record, correct)
    assert records.read_correct(path_in(tmp_path)) == {
        make(0).id: (b"\x01", b"\x03"),
        make(1).id: (b"\x07",),
    }


def test_a_record_without_correctness_has_no_companion(tmp_path: Path) -> None:
    records.append(tmp_path, make(status="diverged", metrics={}))
    assert records.read_correct(path_in(tmp_path)) == {}


def test_a_kill_while_appending_costs_only_the_torn_line(tmp_path: Path) -> None:
    records.append(tmp_path, make(0))
    path = path_in(tmp_path)
    whole, torn = path.read_bytes(), make(1).line().encode()
    for length in (1, len(torn) // 2, len(torn) - 2):
        path.write_bytes(whole + torn[:length])
        assert [record.trial.distillation_seed for record in records.read(path)] == [0]
        records.append(tmp_path, make(2))
        assert [record.trial.distillation_seed for record in records.read(path)] == [0, 2]


def test_a_torn_first_line_is_cut_off(tmp_path: Path) -> None:
    path = path_in(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"id":')
    records.append(tmp_path, make())
    assert len(list(records.read(path))) == 1


def test_a_torn_line_longer_than_a_block_is_cut_off(tmp_path: Path) -> None:
    records.append(tmp_path, make(0))
    path = path_in(tmp_path)
    with path.open("ab") as stream:
        stream.write(b'{"x": "' + b"y" * 200_000)
    records.append(tmp_path, make(1))
    assert [record.trial.distillation_seed for record in records.read(path)] == [0, 1]


def test_a_whole_line_that_lost_its_newline_is_kept(tmp_path: Path) -> None:
    records.append(tmp_path, make(0))
    path = path_in(tmp_path)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert len(list(records.read(path))) == 1
    records.append(tmp_path, make(1))
    assert [record.trial.distillation_seed for record in records.read(path)] == [0, 1]


def test_empty_lines_and_foreign_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "dm.jsonl"
    path.write_bytes(b"\n" + make(0).line().encode().replace(b"\n", b"\r\n") + b"\n  \n")
    assert len(list(records.read(path))) == 1


def test_a_broken_line_is_named_with_its_file_and_number(tmp_path: Path) -> None:
    path = tmp_path / "dm.jsonl"
    path.write_bytes(make(0).line().encode() + b"broken\n" + make(1).line().encode())
    with pytest.raises(BadFile, match=f"{path}:2 "):
        list(records.read(path))


def test_a_scan_keeps_what_is_whole_and_names_what_is_not(tmp_path: Path) -> None:
    overlong = b'{"x": "' + b"y" * (2 * lines.MAX_LINE_BYTES) + b'"}\n'
    good = [make(seed).line().encode() for seed in range(3)]
    (tmp_path / "a.jsonl").write_bytes(good[0] + b"\xff\n" + good[1] + overlong + good[2])
    (tmp_path / "b.jsonl").write_bytes(b"broken\n" + good[0])
    found, faults = records.scan(tmp_path)
    assert [record.trial.distillation_seed for record in found] == [0, 1, 2, 0]
    assert [str(fault).split(" ")[0] for fault in faults] == [
        f"{tmp_path}/a.jsonl:2",
        f"{tmp_path}/a.jsonl:4",
        f"{tmp_path}/b.jsonl:1",
    ]
    assert "longer than" in str(faults[1])


def test_an_overlong_last_line_is_a_fault_even_without_its_newline(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"y" * (lines.MAX_LINE_BYTES + 1))
    _, faults = records.scan(tmp_path)
    assert ["longer than" in str(fault) for fault in faults] == [True]


def test_what_is_no_record_file_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "dm.correct.jsonl").write_text("x")
    assert list(records.files(tmp_path)) == []
    assert list(records.files(tmp_path / "absent")) == []
    assert records.scan(tmp_path / "absent") == ([], [])


def test_a_file_that_cannot_be_read_is_one_fault(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="cannot be read"):
        list(records.read(tmp_path / "absent.jsonl"))


@pytest.mark.parametrize("line", ["broken", '{"id": "x", "correct": ""}', "{}"])
def test_a_damaged_companion_is_refused(tmp_path: Path, line: str) -> None:
    records.append(tmp_path, make(), b"\x01")
    companion = records.correct_path(path_in(tmp_path))
    companion.write_text(companion.read_text() + line + "\n")
    with pytest.raises(BadFile, match=":2 is damaged"):
        records.read_correct(path_in(tmp_path))


def test_a_companion_with_foreign_characters_is_refused(tmp_path: Path) -> None:
    companion = records.correct_path(path_in(tmp_path))
    companion.parent.mkdir(parents=True)
    companion.write_text(json.dumps({"id": "a" * 64, "correct": "no base64!"}) + "\n")
    with pytest.raises(BadFile, match=":1 is damaged"):
        records.read_correct(path_in(tmp_path))


def test_a_place_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "ipc-grid-v1").write_text("a file where a folder belongs")
    with pytest.raises(StoreError, match="Cannot append to"):
        records.append(tmp_path, make())


def append_many(root: Path, first: int) -> None:
    for seed in range(first, first + 50):
        records.append(root, make(seed), b"\x01")


def test_writers_of_one_file_wait_for_each_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=append_many, args=(tmp_path, 100 * k)) for k in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    seeds = sorted(record.trial.distillation_seed for record in records.read_all(tmp_path))
    assert seeds == [*range(50), *range(100, 150), *range(200, 250)]
    assert len(records.read_correct(path_in(tmp_path))) == 150


# where records lie


def test_a_record_lies_where_its_coordinates_say() -> None:
    record = make(method="k-center")
    assert records.path_of(Path("runs"), record.trial, "k-center") == Path(
        "runs/ipc-grid-v1/quick/digits/k-center.jsonl"
    )


names = st.text(min_size=1, max_size=200).filter(str.isprintable)
hostile = st.sampled_from(
    [
        "..",
        ".",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "C:\\x",
        "~",
        "-rf",
        "x.correct",
        "é",
        "|",
    ]
)


@given(names | hostile, names | hostile, names | hostile)
def test_no_name_leads_out_of_the_folder(protocol: str, dataset: str, method: str) -> None:
    where = make().trial.model_copy(update={"protocol": protocol, "dataset": dataset})
    path = records.path_of(Path("root"), where, method)
    assert path.parts[0] == "root"
    assert len(path.parts) == 5
    assert all(part.isascii() and part not in (".", "..") for part in path.parts)
    assert all(len(part) <= 240 for part in records.correct_path(path).parts)
    assert not path.name.endswith(".correct.jsonl")


def test_no_method_name_passes_for_another_ones_companion(tmp_path: Path) -> None:
    records.append(tmp_path, make(0, "dm"), b"\x01")
    records.append(tmp_path, make(0, "dm.correct"), b"\x02")
    assert {record.method.name for record in records.read_all(tmp_path)} == {"dm", "dm.correct"}
    assert len(records.read_correct(path_in(tmp_path))) == 1


def test_coordinates_of_a_trial_are_kept(tmp_path: Path) -> None:
    assert make(3).trial == Coordinates(
        protocol="ipc-grid",
        version=1,
        tier="quick",
        track="standard",
        split="test",
        dataset="digits",
        budget=Budget("ipc", 1),
        network="convnet-d2",
        distillation_seed=3,
        architecture="convnet-d2",
        evaluation_seed=3,
    )


def test_reading_records_imports_no_torch() -> None:
    code = "import sys, bench.records, bench.statistics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
