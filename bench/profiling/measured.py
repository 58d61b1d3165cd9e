"""Measured figures: a fresh process for each, memory and time in separate passes.

A peak read in a process that has done other things is that of the other things; a tracker of memory
slows what it tracks. So every figure has a process of its own.
"""

from __future__ import annotations

import multiprocessing
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

import torch

from bench.environment import choose_device, describe, prepare_process
from bench.errors import BenchError, InvalidValue, NotApplicable
from bench.measure import LiveStorage, synchronize
from bench.profiling.catalogue import device as catalogued
from bench.profiling.phases import Steps, open_phase
from bench.profiling.records import Phase
from bench.profiling.subject import Subject
from bench.records import Environment

Pass = Literal["memory", "time"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where and how figures are measured.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` …
        emulate: a device of the catalogue whose memory the allocator is capped to, or ``None``.
        threads: CPU threads.
    """

    device: str
    emulate: str | None
    threads: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a phase took.

    Attributes:
        status: ``ok``, ``oom`` or ``skipped``.
        environment: what it ran on.
        reason: why it did not end well.
        peak_bytes: of tensors; see :class:`bench.profiling.records.ProfileRecord`.
        reserved_bytes: likewise.
        host_bytes: likewise.
        seconds: every repeat's seconds of one step.
        steps: how many the preset has.
        clocks: what the driver says about its version and the device's clocks.
    """

    status: Literal["ok", "oom", "skipped"]
    environment: Environment
    reason: str = ""
    peak_bytes: int | None = None
    reserved_bytes: int | None = None
    host_bytes: int | None = None
    seconds: tuple[float, ...] = ()
    steps: int | None = None
    clocks: str = ""


def measure(subject: Subject, phase: Phase, setting: Setting) -> Measured:
    """Measure one phase on the device at hand.

    Raises:
        InvalidValue: emulation on a device that has no more memory, or no CUDA.
        BenchError: something else that the user must put right.
    """
    facts: dict[str, Any] = {}
    for what in ("memory", "time"):
        facts |= _in_fresh_process(subject, phase, what, setting)
        if facts["status"] != "ok":
            break
    return Measured(**facts)


def _in_fresh_process(
    subject: Subject, phase: Phase, what: str, setting: Setting
) -> dict[str, Any]:
    """One figure, from a process that does nothing else."""
    context = multiprocessing.get_context("spawn")  # a forked one would share CUDA and memory
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(subject, phase, what, setting, theirs))
    process.start()
    theirs.close()
    try:
        found: dict[str, Any] | BaseException = ours.recv()
    except EOFError:
        process.join()
        found = ChildProcessError(
            f"The process that measured {phase} of {subject.method} died "
            f"(exit code {process.exitcode}); where memory is short the system ends it."
        )
    process.join()
    if isinstance(found, BaseException):
        raise found
    return found


def _child(
    subject: Subject, phase: Phase, what: Pass, setting: Setting, answer: Connection
) -> None:
    try:
        answer.send(_figure(subject, phase, what, setting))
    except BenchError as error:
        answer.send(error)
    except Exception:
        answer.send(RuntimeError(f"measuring failed:\n{traceback.format_exc()}"))


def _figure(subject: Subject, phase: Phase, what: Pass, setting: Setting) -> dict[str, Any]:
    torch.set_num_threads(setting.threads)
    prepare_process()
    device = choose_device(setting.device)
    if setting.emulate:
        _cap(device, setting.emulate)
    facts: dict[str, Any] = {"status": "ok", "clocks": _clocks(device)}
    rules = subject.rules
    shown = rules.excerpt if phase != "distill" else None
    try:
        steps = open_phase(phase, subject, device, shown)
        facts["steps"] = steps.count
        if what == "memory":
            facts |= _memory(steps, device, rules.warm_up)
        else:
            facts["seconds"] = _times(steps, device, rules.warm_up, rules.repeats)
    except NotApplicable as error:
        facts |= {"status": "skipped", "reason": str(error)}
    except torch.OutOfMemoryError as error:
        facts |= {"status": "oom", "reason": str(error).partition("\n")[0]}
    return facts | {"environment": describe(device)}


def _memory(steps: Steps, device: torch.device, warm_up: int) -> dict[str, int]:
    """Peaks over the first steps, with their momentum and caches in place."""
    cuda = device.type == "cuda"
    if cuda:
        synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    live = LiveStorage()
    run: Callable[[], None] = lambda: _run(steps, warm_up + steps.cycle)  # noqa: E731
    if cuda:
        run()
        synchronize(device)
    else:
        with live:
            run()
    kibibytes = 1 if sys.platform == "darwin" else 1024
    facts = {"host_bytes": kibibytes * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    if not cuda:
        return facts | {"peak_bytes": live.peak_bytes}
    return facts | {
        "peak_bytes": torch.cuda.max_memory_allocated(device),
        "reserved_bytes": torch.cuda.max_memory_reserved(device),
    }


def _times(steps: Steps, device: torch.device, warm_up: int, repeats: int) -> tuple[float, ...]:
    """Seconds of one step, once a repeat; a repeat is a whole cycle of steps."""
    _run(steps, warm_up)
    found = []
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        _run(steps, steps.cycle)
        synchronize(device)
        found.append((time.perf_counter() - start) / (steps.cycle * steps.share))
    return tuple(found)


def _run(steps: Steps, times: int) -> None:
    for _ in range(times):
        steps.run()


def _cap(device: torch.device, name: str) -> None:
    """Let the allocator hand out no more than the device called ``name`` has beside its context.

    Raises:
        InvalidValue: the device at hand has no CUDA allocator, or no more memory than that.
    """
    wanted = catalogued(name).memory_bytes
    if device.type != "cuda":
        raise InvalidValue(f"The memory of {name} can be emulated on a CUDA device only.")
    free, total = torch.cuda.mem_get_info(device)  # opens the context, which both devices have
    if total < wanted:
        raise InvalidValue(
            f"{name} has {wanted / 2**30:.1f} GiB and cannot be emulated on a device of "
            f"{total / 2**30:.1f} GiB."
        )
    context = min(total - free, wanted // 10)
    torch.cuda.set_per_process_memory_fraction((wanted - context) / total, device)


def _clocks(device: torch.device) -> str:
    """Driver version and clocks as the driver's own tool prints them; nothing without it."""
    if device.type != "cuda":
        return ""
    query = "--query-gpu=driver_version,clocks.sm,clocks.mem,clocks.max.sm"
    command = ["nvidia-smi", query, "--format=csv,noheader", f"--id={device.index or 0}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
