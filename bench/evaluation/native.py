"""C++ of our own: compiled for this CPU when it is first needed, loaded from the cache ever after.

The file's name is a digest of all that the code depends on: its source, the options, and what the
compiler says of itself and of this CPU. A cache that machines share never lends one of them code
for another.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from bench.datasets.locations import cache_folder
from bench.errors import BenchError
from bench.files import atomic_write, digest

OPTIONS = ("-std=c++17", "-O2", "-fno-signed-zeros", "-fPIC", "-shared")

THREADS = ("-fopenmp",) if sys.platform == "linux" else ()
"""Elsewhere compilers come without it, and the code runs in one thread."""

FOR_THIS_CPU = ("-march=native", "-mcpu=native")
"""The options that ask for it; every compiler knows one of them or neither."""


def compiler() -> str | None:
    """The C++ compiler: ``$CXX`` if it is there, else g++, else clang++."""
    names = (os.environ.get("CXX", "g++"), "g++", "clang++")
    return next((found for name in names if (found := shutil.which(name))), None)


@cache
def library(source: Path, *constants: tuple[str, str]) -> ctypes.CDLL:
    """The functions of a file of C++; calling one lets go of Python's lock.

    Args:
        source: the file.
        constants: names in the source and what they stand for.

    Raises:
        BenchError: there is no C++ compiler, or it fails, or its result cannot be loaded.
        StoreError: the cache cannot be written.
    """
    command, cpu = _compiler_for_this_cpu()
    command += [*OPTIONS, *THREADS, *(f"-D{name}={value}" for name, value in constants)]
    name = digest([source.read_text(encoding="utf-8"), command, cpu])
    path = cache_folder() / "native" / f"{name}.so"
    if not path.exists():
        with atomic_write(path) as temporary:
            _run([*command, "-o", str(temporary), str(source)])
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise BenchError(
            f"Compiled code cannot be loaded: {error}. Delete {path.parent}, or set BENCH_CACHE to "
            f"a folder that code may be loaded from."
        ) from error


def _compiler_for_this_cpu() -> tuple[list[str], str]:
    """The compiler with its option for this CPU, and its version and the CPU's features."""
    found = compiler()
    if found is None:
        raise BenchError("There is no C++ compiler; install g++ or take the strategy 'parallel'.")
    describe = ["-x", "c++", "-E", "-dM", os.devnull]
    for option in FOR_THIS_CPU:
        with suppress(BenchError):
            return [found, option], _run([found, option, *describe])
    return [found], _run([found, *describe])


def _run(command: list[str]) -> str:
    """What a compiler prints.

    Raises:
        BenchError: it fails.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"it ended with code {error.returncode}"]
        reason = next((line for line in lines if "error" in line), lines[-1])
    except OSError as error:
        reason = error.strerror or str(error)
    raise BenchError(
        f"The C++ compiler {command[0]} fails: {reason}. Set CXX to one that works, or take the "
        f"strategy 'parallel'."
    )
