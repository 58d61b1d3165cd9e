"""A changed byte in anything that is kept: noticed, and made again or refused, never used.

Each file is tried at many places with one changed bit and cut off there: by the reader alone, and
by the service that keeps the file, whose answer must be that of an untouched file.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench import artifacts, checkpoints, datasets, files, runner
from bench.data import SyntheticSet
from bench.distillation import distill
from bench.errors import BadFile
from bench.generators import SyntheticGenerator
from bench.networks.gan import GanShape, build_gan
from bench.preprocessing import Preprocessing
from bench.randomness import generator
from bench.specs import Budget, Header
from bench.store import Store
from tests.fakes import NETWORK, SPEC, Walk, tiny_task
from tests.reliability.conftest import Report
from tests.reliability.methods import EXPERT
from tests.test_runner import options


class Interrupted(BaseException):
    """As a kill would end the process."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A kept file, and the service that reads it.

    Attributes:
        path: the file.
        read: its reader; refuses it by ``BadFile``.
        serve: what the service answers, making the file again where it must.
    """

    path: Path
    read: Callable[[], object]
    serve: Callable[[], object]


def cache_entry(folder: Path) -> Kept:
    """The cached training part of the tiny dataset."""

    def serve() -> list[Tensor]:
        pair = datasets.load("tiny")
        return [pair.train.pixels.clone(), pair.train.labels.clone()]

    serve()
    path = next((folder / "cache").rglob("train.safetensors"))
    return Kept(path=path, read=lambda: files.load_tensors(path), serve=serve)


def cache_facts(folder: Path) -> Kept:
    """What the cache says of that dataset, checksums included."""

    def serve() -> list[object]:
        pair = datasets.load("tiny")
        return [pair.train.checksum, pair.spec, pair.train.pixels.clone()]

    serve()
    path = next((folder / "cache").rglob("facts.json"))
    return Kept(path=path, read=lambda: files.read_json(path), serve=serve)


def artefact(folder: Path) -> Kept:
    """A synthetic set in a store whose records are gone, so that it would be used again."""
    store = Store(folder / "runs")

    def serve() -> object:
        shutil.rmtree(store.records, ignore_errors=True)
        asked = options(store, "walk", tracks=("standard",))
        (record,) = runner.execute(runner.plan(asked), lambda event: None)
        assert record.artifact is not None
        return record.metrics, record.artifact, artifacts.load_set(path_of(record.artifact)).images

    def path_of(sha256: str) -> Path:
        return store.artifact(sha256)

    def read() -> object:
        found = artifacts.load_set(path)
        return found.images, found.labels, found.header

    serve()
    (path,) = (store.root / "artifacts").glob("*.safetensors")
    return Kept(path=path, read=read, serve=serve)


def note(folder: Path) -> Kept:
    """What the store noted of a distillation."""
    kept = artefact(folder)
    store = Store(folder / "runs")
    (path,) = (store.root / "distillations").glob("*.json")
    return Kept(path=path, read=lambda: store.recall(path.stem), serve=kept.serve)


def checkpoint(folder: Path) -> Kept:
    """A distillation that was interrupted after two of four steps."""
    path = folder / "walk.safetensors"

    def interrupt(done: int, total: int, metrics: object) -> None:
        if done == 3:
            raise Interrupted

    def run(report: Callable[..., None] | None = None) -> Tensor:
        made = distill(
            Walk(), tiny_task(folder), checkpoint=path, checkpoint_seconds=0.0, report=report
        )
        assert isinstance(made.source, SyntheticSet)
        return made.source.images

    with pytest.raises(Interrupted):
        run(interrupt)
    return Kept(path=path, read=lambda: checkpoints.load(path), serve=run)


def expert(folder: Path) -> Kept:
    """An expert buffer."""

    def serve() -> Tensor:
        return tiny_task(folder).experts.trajectory(NETWORK, EXPERT, 0).clone()

    serve()
    (path,) = folder.glob("*.safetensors")
    return Kept(path=path, read=lambda: files.load_tensors(path), serve=serve)


def gan(folder: Path) -> Kept:
    """A synthetic generator."""
    shape = GanShape(width=4, latent=4, num_classes=3, channels=1, size_px=8)
    space = Preprocessing.normalize(SPEC)
    network, _ = build_gan(shape, generator("gan"))
    made = SyntheticGenerator.of(network, shape, space, 1)
    header = Header(
        dataset="tiny",
        classes=SPEC.classes,
        budget=Budget("inpc", 1),
        preprocessing=space.header(),
        method="dim",
    )
    path = folder / "gan.safetensors"
    artifacts.save(replace(made, header=header), path)

    def read() -> object:
        found = artifacts.load(path)
        assert isinstance(found, SyntheticGenerator)
        return found.weights, found.header

    return Kept(path=path, read=read, serve=read)


KINDS = (cache_entry, cache_facts, artefact, note, checkpoint, expert)

pytestmark = pytest.mark.usefixtures("registered", "own_folder")


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


def put(path: Path, content: bytes) -> None:
    """Replace a file; one that was read before may still be mapped into memory."""
    path.unlink()
    path.write_bytes(content)


def damaged(content: bytes, places: Iterator[int] | range, rng: random.Random) -> Iterator[bytes]:
    """The content with one bit changed at each place, and cut off at each place."""
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << rng.randrange(8)
        yield bytes(changed)
        yield content[:place]


def spread(length: int, count: int) -> range:
    """About ``count`` places over a file, its last byte and its first among them."""
    return range(length - 1, -1, -max(1, length // count))


def same(one: object, other: object) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, list | tuple):
        assert isinstance(other, list | tuple)
        return all(map(same, one, other))
    if isinstance(one, dict):
        assert isinstance(other, dict)
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


def refused(kept: Kept, places: range) -> int:
    """How many of the damaged files the reader refused; what it took must be what was written."""
    content, whole = kept.path.read_bytes(), kept.read()
    count = 0
    for wrong in damaged(content, places, random.Random(0)):
        put(kept.path, wrong)
        try:
            assert same(kept.read(), whole)
        except BadFile:
            count += 1
    put(kept.path, content)
    return count


def served(kept: Kept, places: range) -> int:
    """How many damaged files the service was given; its answer must always be the same."""
    content = kept.path.read_bytes()
    answer = kept.serve()
    tried = list(damaged(content, places, random.Random(1)))
    for wrong in tried:
        if kept.path.exists():  # a checkpoint goes when its work is done
            kept.path.unlink()
        kept.path.write_bytes(wrong)
        assert same(kept.serve(), answer)
    return len(tried)


@pytest.mark.parametrize("kind", [cache_entry, artefact, note, checkpoint, expert, gan])
def test_a_damaged_file_is_refused(kind: Callable[[Path], Kept], tmp_path: Path) -> None:
    kept = kind(tmp_path)
    places = spread(kept.path.stat().st_size, 60)
    assert refused(kept, places) >= 1.9 * len(places)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_never_served(
    kind: Callable[[Path], Kept], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = kind(tmp_path)
    assert served(kept, spread(kept.path.stat().st_size, 5))
    assert {entry.levelname for entry in caplog.records} == {"WARNING"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [cache_entry, artefact, note, checkpoint, expert, gan])
def test_any_damaged_byte_is_refused(
    kind: Callable[[Path], Kept], tmp_path: Path, report: Report
) -> None:
    kept = kind(tmp_path)
    length = kept.path.stat().st_size
    count = refused(kept, range(length))
    report(f"{kind.__name__}: {length} bytes, {count} of {2 * length} damaged files refused")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files_are_never_served(
    kind: Callable[[Path], Kept], tmp_path: Path, report: Report
) -> None:
    kept = kind(tmp_path)
    count = served(kept, spread(kept.path.stat().st_size, 150))
    report(f"{kind.__name__}: {count} damaged files, none was served")
