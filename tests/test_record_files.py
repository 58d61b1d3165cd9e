"""Record files: whole through kills, refused when damaged, never mixed up."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import lines, records
from bench.errors import BadFile, StoreError
from bench.records import Coordinates
from bench.specs import Budget
from tests.records import make


def path_in(root: Path, method: str = "dm") -> Path:
    return root / "ipc-grid-v1" / "quick" / "digits" / f"{method}.jsonl"


def test_appended_records_are_read_back_in_order(tmp_path: Path) -> None:
    for seed in (2, 0, 1):
        records.append(tmp_path, make(seed=seed))
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
    for record, correct in (
        (make(seed=0), b"\x01"),
        (make(seed=1), b"\x07"),
        (make(seed=0), b"\x03"),
    ):
        records.append(tmp_path, record, correct)
    assert records.read_correct(path_in(tmp_path)) == {
        make(seed=0).id: (b"\x01", b"\x03"),
        make(seed=1).id: (b"\x07",),
    }


def test_a_record_without_correctness_has_no_companion(tmp_path: Path) -> None:
    records.append(tmp_path, make(accuracy=None, status="diverged"))
    assert records.read_correct(path_in(tmp_path)) == {}


def test_a_kill_while_appending_costs_only_the_torn_line(tmp_path: Path) -> None:
    records.append(tmp_path, make(seed=0))
    path = path_in(tmp_path)
    whole, torn = path.read_bytes(), make(seed=1).line().encode()
    for length in (1, len(torn) // 2, len(torn) - 2):
        path.write_bytes(whole + torn[:length])
        assert [record.trial.distillation_seed for record in records.read(path)] == [0]
        records.append(tmp_path, make(seed=2))
        assert [record.trial.distillation_seed for record in records.read(path)] == [0, 2]


def test_a_torn_first_line_is_cut_off(tmp_path: Path) -> None:
    path = path_in(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"id":')
    records.append(tmp_path, make())
    assert len(list(records.read(path))) == 1


def test_a_torn_line_longer_than_a_block_is_cut_off(tmp_path: Path) -> None:
    records.append(tmp_path, make(seed=0))
    path = path_in(tmp_path)
    with path.open("ab") as stream:
        stream.write(b'{"x": "' + b"y" * 200_000)
    records.append(tmp_path, make(seed=1))
    assert [record.trial.distillation_seed for record in records.read(path)] == [0, 1]


def test_a_whole_line_that_lost_its_newline_is_kept(tmp_path: Path) -> None:
    records.append(tmp_path, make(seed=0))
    path = path_in(tmp_path)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert len(list(records.read(path))) == 1
    records.append(tmp_path, make(seed=1))
    assert [record.trial.distillation_seed for record in records.read(path)] == [0, 1]


def test_empty_lines_and_foreign_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "dm.jsonl"
    path.write_bytes(b"\n" + make(seed=0).line().encode().replace(b"\n", b"\r\n") + b"\n  \n")
    assert len(list(records.read(path))) == 1


def test_a_broken_line_is_named_with_its_file_and_number(tmp_path: Path) -> None:
    path = tmp_path / "dm.jsonl"
    path.write_bytes(make(seed=0).line().encode() + b"broken\n" + make(seed=1).line().encode())
    with pytest.raises(BadFile, match=f"{path}:2 "):
        list(records.read(path))


def test_a_scan_keeps_what_is_whole_and_names_what_is_not(tmp_path: Path) -> None:
    overlong = b'{"x": "' + b"y" * (2 * lines.MAX_LINE_BYTES) + b'"}\n'
    good = [make(seed=seed).line().encode() for seed in range(3)]
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
        records.append(root, make(seed=seed), b"\x01")


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
    records.append(tmp_path, make("dm", seed=0), b"\x01")
    records.append(tmp_path, make("dm.correct", seed=0), b"\x02")
    assert {record.method.name for record in records.read_all(tmp_path)} == {"dm", "dm.correct"}
    assert len(records.read_correct(path_in(tmp_path))) == 1


def test_coordinates_of_a_trial_are_kept(tmp_path: Path) -> None:
    assert make(seed=3).trial == Coordinates(
        protocol="ipc-grid",
        version=1,
        tier="quick",
        track="standard",
        split="test",
        dataset="digits",
        budget=Budget("ipc", 1),
        network="convnet-d2-w32",
        distillation_seed=3,
        architecture="convnet-d2-w32",
        evaluation_seed=3,
    )


def test_reading_records_imports_no_torch() -> None:
    code = "import sys, bench.records, bench.statistics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
