"""Record lines: facts that read back unchanged; what no record may say is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench import migrations, records
from bench.errors import BadFile
from bench.records import Cost, Costs, Record
from bench.specs import Budget
from tests.records import make

SCHEMA_FILE = Path(__file__).parents[1] / "leaderboard" / "record.schema.json"


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


def test_a_record_from_before_costs_named_their_machine_stands() -> None:
    content = json.loads(make().line())
    del content["cost"]["distilled_on"]
    assert records.parse(json.dumps(content), "here") == make()
    assert set(records.json_schema()["$defs"]["Costs"]["required"]) == content["cost"].keys()
