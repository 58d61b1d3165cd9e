"""Records, what stands beside them, and other files of facts."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

from bench import datasets, files, records
from bench.store import Store
from leaderboard import profile_files, reading
from leaderboard.regression import baseline
from leaderboard.submission import examine
from tests.leaderboard.profiles import forecast
from tests.records import make as make_record
from tests.reliability.hostile import (
    Family,
    as_json,
    mutated,
    through,
)
from tests.reliability.hostile_tensors import header_of, sealed
from tests.reliability.runs import CHECKOUT


def record_lines(folder: Path) -> Family:
    """Lines that are nearly records."""
    return Family(
        cases=as_json(json.loads(make_record().line())),
        read=lambda line: records.parse(line, "line 1"),
    )


def record_files(folder: Path) -> Family:
    """Files of records with their companion and log, as a board reads them."""
    path = folder / "results" / "x.jsonl"
    record = make_record()
    good = record.line().encode()
    bits = records.correct_line(record.id, b"\x0f").encode()
    replaced = {"trial": record.id, "replaced": record.id, "by": record.id, "reason": "wrong"}

    def read(case: tuple[bytes, bytes, bytes]) -> object:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(case[0])
        records.correct_path(path).write_bytes(case[1])
        path.with_suffix(".superseded").write_bytes(case[2])
        found = reading.read([folder / "results"])
        assert all("\n" not in str(fault) for fault in found.faults)
        return records.read_all(folder / "results"), records.read_correct(path)

    lines = st.lists(as_json(json.loads(good)) | st.just(good.strip()), max_size=3)
    return Family(
        cases=st.tuples(
            lines.map(b"\n".join),
            as_json(json.loads(bits)) | st.just(bits),
            as_json(replaced) | st.just(b""),
        ),
        read=read,
    )


def submissions(folder: Path) -> Family:
    """Contributions: records, their companion, and a set."""
    record = make_record()
    path = folder / "given" / "dm.jsonl"
    given = folder / "given" / "set.safetensors"

    def read(case: tuple[bytes, bytes, bytes]) -> object:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(case[0])
        records.correct_path(path).write_bytes(case[1])
        given.write_bytes(case[2])
        found = examine([path, given], folder / "results", lambda *_: "a" * 64)
        assert all("\n" not in fault.sentence for fault in found.faults)
        return found

    return Family(
        cases=st.tuples(
            as_json(json.loads(record.line())),
            as_json({"id": record.id, "correct": "Dw=="}),
            mutated(header_of()).map(sealed),
        ),
        read=read,
    )


def profile_lines(folder: Path) -> Family:
    """Files of profile records."""
    path = folder / "home" / "profiles" / "efficiency-v1" / "paper" / "cifar10" / "mtt.jsonl"
    good = json.loads(json.dumps(forecast().as_dict()))

    def read(_: Path) -> object:
        found = profile_files.read([folder / "home"])
        assert all("\n" not in str(fault) for fault in found.faults)
        return profile_files.publish(folder / "home", folder / "published", lambda *_: None)

    return Family(cases=as_json(good), read=through(path, read))


def baselines(folder: Path) -> Family:
    """Baselines of the regression gate."""
    good = json.loads((CHECKOUT / "leaderboard" / "baseline.json").read_text())
    good["cells"] = good["cells"][:1]
    read = through(folder / "baseline.json", baseline.read)
    return Family(cases=as_json(good), read=read)


def notes(folder: Path) -> Family:
    """Notes on distillations, with and without a checksum that holds."""
    store = Store(folder / "runs")
    facts = {"artifact": "0" * 64, "prepare": {"seconds": 1.0}, "curve": []}
    good = {"facts": facts, "sha256": files.digest(facts)}
    path = store.root / "distillations" / "key.json"
    return Family(cases=as_json(good), read=through(path, lambda _: store.recall("key")))


def cache_facts(folder: Path) -> Family:
    """What the cache says of a dataset: a lie is read anew, so that all must be answered."""
    datasets.load("tiny")
    path = next((folder / "cache").rglob("facts.json"))
    whole = datasets.load("tiny").train.checksum

    def read(_: Path) -> object:
        assert datasets.load("tiny").train.checksum == whole
        return datasets.facts("tiny")

    return Family(cases=as_json(json.loads(path.read_text())), read=through(path, read))
