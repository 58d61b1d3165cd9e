"""Options and fixtures of the benchmarks."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from bench.environment import choose_device, use_full_precision
from benchmarks.cases import COMMITTED, FULL
from benchmarks.interleaved import ROUNDS


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="every shape and network: hours")
    parser.addoption("--device", default="auto", help="auto, cpu, cuda ...")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = FULL if metafunc.config.getoption("--full") else COMMITTED
        metafunc.parametrize("case", cases, ids=str)


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> torch.device:
    use_full_precision()
    return choose_device(pytestconfig.getoption("--device"))


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """What the page says of the machine beside what pytest-benchmark knows."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    machine_info.update(
        {
            "torch": torch.__version__,
            "load": load,
            "rounds": ROUNDS,
            "threads": torch.get_num_threads(),
        }
    )
