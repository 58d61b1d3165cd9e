"""Every test here has a data root and a cache of its own; real data only where it says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _real_data_root() -> Path:
    beside_checkout = Path(__file__).parents[2].parent / "shared" / "data"
    return Path(os.environ.get("BENCH_DATA", beside_checkout))


REAL_DATA = _real_data_root()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty data root."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The cache folder."""
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def _own_places(monkeypatch: pytest.MonkeyPatch, root: Path, cache: Path) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(cache))
    monkeypatch.setenv("BENCH_DATA", str(root))


@pytest.fixture
def real_data() -> Path:
    """A data root with real images."""
    if not (REAL_DATA / "FashionMNIST").is_dir():
        pytest.skip(f"no real data under {REAL_DATA}; set BENCH_DATA to a data root")
    return REAL_DATA
