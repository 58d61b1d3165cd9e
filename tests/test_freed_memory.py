"""Memory that is kept is not asked for again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ROUNDS, PAGES = 20, 40 * 2**20 // 4096

LOOP = f"""
import resource, threading
import torch
from bench.freed_memory import keep_freed_memory

kept = keep_freed_memory() if {{asks}} else False

def work():
    for _ in range({ROUNDS}):
        torch.zeros({PAGES} * 1024)

work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*, asks: bool, **environment: str) -> tuple[bool, int]:
    """Whether memory is kept, and the page faults of the loop's second and third rounds."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("MALLOC_")}
    clean |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    done = subprocess.run(
        [sys.executable, "-c", LOOP.format(asks=asks)],
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    )
    kept, count = done.stdout.split()
    return kept == "True", int(count)


def test_kept_memory_is_not_cleared_again_and_again() -> None:
    kept, ours = faults(asks=True)
    if not kept:
        pytest.skip("another C library than GNU's")
    _, theirs = faults(asks=False)
    assert theirs > ROUNDS * PAGES  # else this test shows nothing
    assert ours < theirs / 4  # a new thread's first rounds settle where its tensors lie


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_the_user_has_tuned_stays(name: str) -> None:
    value = "glibc.malloc.arena_max=4" if name == "GLIBC_TUNABLES" else "131072"
    kept, _ = faults(asks=True, **{name: value})
    assert not kept
