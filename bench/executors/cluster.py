"""A Ray cluster: how to reach it, what its machines have, and forecasts made on it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.errors import InvalidValue
from bench.executors.resources import SMALLEST_SHARE
from bench.failures import first_line

if TYPE_CHECKING:
    from bench.expectations import Expected, Question

FORECAST_SECONDS = 1800
"""What is not forecast by then is done without a forecast."""


@contextmanager
def connected(address: str | None, cpus: int | None) -> Iterator[None]:
    """A connection to a cluster; to one of this machine alone, that ends with it, if none is named.

    Args:
        address: of the cluster, as ``ray.init`` takes it.
        cpus: how many the cluster of this machine has; ``None`` for all.

    Raises:
        InvalidValue: there is no cluster at this address.
    """
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("BENCH_") or name == "PYTHONPATH"  # where plug-ins may lie
    }
    options: dict[str, Any] = {"num_cpus": cpus, "include_dashboard": False}
    try:
        _reach(address)
        ray.init(
            address=address or "local",
            runtime_env={"env_vars": passed_on},
            log_to_driver=False,
            logging_level=logging.WARNING,
            **({} if address else options),
        )
    except (OSError, ValueError, RuntimeError) as error:  # the last: other versions run there
        reason = first_line(error).split(". ")[0].rstrip(".")  # more is advice on other programs
        raise InvalidValue(
            f"No Ray cluster can be used at {address or 'this machine'}: {reason}. Give "
            f"--ray-address as HOST:PORT, or leave it out for a cluster of this machine alone."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str | None) -> None:
    """Knock at ``host:port``, where Ray itself would wait for minutes.

    Raises:
        OSError: nobody answers.
    """
    host, _, port = (address or "").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What the machines of a cluster have.

    Attributes:
        memory_bytes: main memory that Ray gives out, of the largest machine.
        gpu_bytes: memory of the smallest GPU; ``None`` where there are no GPUs.
    """

    memory_bytes: int
    gpu_bytes: int | None


def machines() -> Machines:
    """Look at the cluster that this process is connected to.

    Raises:
        InvalidValue: none of its machines has a CPU to give, so nothing would ever be begun.
    """
    found = [machine for machine in ray.nodes() if machine["Alive"]]
    if not any(machine["Resources"].get("CPU", 0) >= 1 for machine in found):
        raise InvalidValue(
            "No machine of the cluster has a CPU to give; start Ray with --num-cpus."
        )
    with_gpus = [machine["NodeID"] for machine in found if machine["Resources"].get("GPU", 0)]
    sizes = [
        _gpu_bytes.options(
            num_gpus=SMALLEST_SHARE,
            scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False),
        ).remote()
        for name in with_gpus
    ]
    return Machines(
        memory_bytes=int(max(machine["Resources"].get("memory", 0) for machine in found)),
        gpu_bytes=min(ray.get(sizes), default=None),
    )


@ray.remote
def _gpu_bytes() -> int:
    """Memory of the GPU that this process sees."""
    import torch

    return int(torch.cuda.get_device_properties(0).total_memory)


def answers(
    asked: Sequence[Question], references: Mapping[str, str], data_root: Path | None
) -> dict[str, Expected | None]:
    """Forecasts by key, made on the cluster, each once.

    Adapters' code runs where it can do no harm: a forecast that crashes or hangs is none.
    """
    work = _answer.options(max_retries=0)
    refs = {
        question.key: work.remote(question, references, data_root)
        for question in {question.key: question for question in asked}.values()
    }
    ray.wait(list(refs.values()), num_returns=len(refs), timeout=FORECAST_SECONDS)
    found: dict[str, Expected | None] = {}
    for key, ref in refs.items():
        try:
            found[key] = ray.get(ref, timeout=0)
        except RayError:
            ray.cancel(ref, force=True)
            found[key] = None
    return found


@ray.remote
def _answer(
    question: Question, references: Mapping[str, str], data_root: Path | None
) -> Expected | None:
    """Make one forecast."""
    from bench.expectations import Expectations

    return Expectations(references, data_root).answer(question)
