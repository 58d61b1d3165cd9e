"""Runs that are disturbed, and what must hold of their store afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import files, records
from bench.records import Record
from bench.store import Store
from tests import fakes
from tests.reliability.methods import ENTRY_POINTS
from tests.reliability.victim import Outcome, Request

CHECKOUT = Path(__file__).parents[2]


class Victims:
    """A server of processes that may be struck down."""

    def __init__(self, site: Path) -> None:
        self.site = site
        fakes.register(site, ENTRY_POINTS)
        path = os.pathsep.join([str(site), str(CHECKOUT), *filter(None, sys.path)])
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.victim"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=site,
            env=os.environ | {"PYTHONPATH": path, "COLUMNS": "150"},
            text=True,
        )

    def stop(self) -> None:
        """End the server."""
        self._server.communicate()

    def run(self, folder: Path, **knock: Any) -> Outcome:
        """The small run, with its store and cache in ``folder``."""
        (outcome,) = self.run_all(folder, **knock)
        return outcome

    def run_all(
        self,
        folder: Path,
        *,
        methods: str = "walk,taught",
        seeds: int = 2,
        options: tuple[str, ...] = (),
        environment: dict[str, str | None] | None = None,
        **knock: Any,
    ) -> list[Outcome]:
        """As :meth:`run`, perhaps several at once."""
        store = Path(folder) / "runs"
        arguments = f"run -p tiny-grid -m {methods} --seeds {seeds} --jobs 1 --device cpu --store"
        request = Request(
            folder=str(folder),
            arguments=[*arguments.split(), str(store), *options],
            environment={"BENCH_CACHE": str(folder / "cache"), **(environment or {})},
            **knock,
        )
        return self.ask(request)

    def ask(self, request: Request) -> list[Outcome]:
        """Any call of the command."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(asdict(request)) + "\n")
        self._server.stdin.flush()
        return [Outcome(**told) for told in json.loads(self._server.stdout.readline())]


def store_in(folder: Path) -> Store:
    """The store of a run in ``folder``."""
    return Store(folder / "runs")


def facts(record: Record) -> dict[str, Any]:
    """What a record says apart from times: nothing else may differ between two runs."""
    kept = record.model_dump(mode="json", exclude={"time": True, "cost": True, "environment": True})
    return kept | {"stored_bytes": record.cost.stored_bytes}


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """What the store says of every trial, apart from times; a trial recorded twice is an error."""
    found = records.read_all(store_in(folder).records)
    doubled = [key for key, count in Counter(record.id for record in found).items() if count > 1]
    assert not doubled
    return {record.id: facts(record) for record in found}


def correctness(folder: Path) -> dict[str, set[bytes]]:
    """What is stored of every trial's images."""
    return {
        key: set(stored)
        for path in records.files(store_in(folder).records)
        for key, stored in records.read_correct(path).items()
    }


def tensors(folder: Path) -> dict[str, str]:
    """Every tensor file of the store by its place, with the digest of its tensors.

    Raises:
        BadFile: one of them is not whole.
    """
    root = store_in(folder).root
    return {
        str(path.relative_to(root)): files.tensors_digest(files.load_tensors(path)[0], {})
        for path in sorted(root.rglob("*.safetensors"))
        if not unfinished(path)
    }


def unfinished(path: Path) -> bool:
    """Whether a file is being written: no reader looks there."""
    return any(part.startswith(".") and part.endswith(".part") for part in path.parts)


def check_whole(folder: Path) -> None:
    """Every file that a reader would find is whole.

    Raises:
        BadFile: one of them is not.
    """
    tensors(folder)
    correctness(folder)
    store = store_in(folder)
    for note in (store.root / "distillations").glob("[!.]*.json"):
        store.recall(note.stem)
    for partial in store.experts.glob("[!.]*.partial"):
        files.load_tensors(partial)
    for path in (folder / "cache").rglob("*.safetensors"):
        if not unfinished(path):
            files.load_tensors(path)


def leftovers(folder: Path) -> list[Path]:
    """Beginnings of files that no writer will go on with."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and unfinished(path) and path.stat().st_size
    ]
