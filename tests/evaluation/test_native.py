"""C++ is compiled once, whoever asks; what goes wrong is said in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.evaluation.native import compiler, library


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No file is compiled yet, and nothing of this test stays loaded."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    library.cache_clear()
    yield tmp_path / "cache"
    library.cache_clear()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A function that returns a constant."""
    source = tmp_path / "answer.cpp"
    source.write_text('extern "C" int answer() { return ANSWER; }\n')
    return source


def answer(source: Path, value: int) -> int:
    found: int = library(source, ("ANSWER", str(value))).answer()
    return found


def use_compiler(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Let ``$CXX`` be a shell script."""
    program = folder / "compiler"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("CXX", str(program))


def test_later_processes_load_what_the_first_has_compiled(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    use_compiler(monkeypatch, tmp_path, f'echo "$@" >> {log}; exec {compiler()} "$@"')
    for _ in range(3):
        library.cache_clear()  # as in a new process
        assert answer(source, 42) == 42
    assert sum("-shared" in line for line in log.read_text().splitlines()) == 1


def test_other_code_never_takes_its_place(source: Path, empty_cache: Path) -> None:
    assert [answer(source, 1), answer(source, 2)] == [1, 2]
    source.write_text('extern "C" int answer() { return -ANSWER; }\n')
    library.cache_clear()
    assert answer(source, 1) == -1
    assert len(list(empty_cache.rglob("*.so"))) == 3


def test_other_features_of_the_cpu_have_code_of_their_own(
    source: Path, tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = compiler()
    for feature in ("old", "new"):
        script = f'case "$*" in *-dM*) echo {feature};; *) exec {real} "$@";; esac'
        use_compiler(monkeypatch, tmp_path, script)
        library.cache_clear()
        assert answer(source, 7) == 7
    assert len(list(empty_cache.rglob("*.so"))) == 2


def test_a_compiler_that_knows_no_option_for_this_cpu_compiles_without(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f'case "$*" in *=native*) exit 1;; *) exec {compiler()} "$@";; esac'
    use_compiler(monkeypatch, tmp_path, script)
    assert answer(source, 5) == 5


def test_threads_may_ask_at_once(source: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: answer(source, 3), range(8))) == [3] * 8


def test_a_broken_compiler_is_a_sentence(
    source: Path, tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_compiler(monkeypatch, tmp_path, "echo 'a.cpp: error: no such header' >&2; exit 1")
    with pytest.raises(BenchError, match=r"fails: a.cpp: error: no such header\. Set CXX to one"):
        answer(source, 1)
    use_compiler(monkeypatch, tmp_path, "exit 3")
    with pytest.raises(BenchError, match="fails: it ended with code 3"):
        answer(source, 1)
    assert not list(empty_cache.rglob("*.so"))


def test_no_compiler_is_a_sentence(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(BenchError, match=r"no C\+\+ compiler; install g\+\+"):
        answer(source, 1)


def test_what_cannot_be_loaded_is_a_sentence(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_compiler(monkeypatch, tmp_path, "exit 0")  # leaves an empty file
    with pytest.raises(BenchError, match=r"cannot be loaded: .* Delete .*native, or set"):
        answer(source, 1)
