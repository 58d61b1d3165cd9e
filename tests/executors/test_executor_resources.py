"""What work claims of a machine: enough by the forecast, never more than there is."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InvalidValue
from bench.executors.dispatch import device_on
from bench.executors.resources import PROCESS_BYTES, Claim, gpu_share, on_cpu, on_gpu
from bench.profiling.capacity import fits
from bench.profiling.catalogue import devices
from protocols.efficiency import EFFICIENCY

ALLOWANCES = EFFICIENCY["paper"].allowances
GIB = 2**30


@given(st.integers(0, 200 * GIB), st.sampled_from(sorted(devices())))
def test_shares_of_all_that_are_on_a_gpu_fit_its_memory(peak: int, name: str) -> None:
    device = devices()[name]
    share = gpu_share(peak, device.memory_bytes, ALLOWANCES)
    assert 0.05 <= share <= 1
    assert (Fraction(share).limit_denominator(100) * 20).denominator == 1
    if fits(peak, device, ALLOWANCES):
        assert share * device.memory_bytes * 1.01 >= peak * 1.05 + 768 * 2**20
    else:
        assert share == 1.0


@pytest.mark.parametrize(
    ("peak", "memory", "share"),
    [
        (0, 80 * GIB, 0.05),
        (8 * GIB, 80 * GIB, 0.15),  # 8.4 + 0.75 GiB of 80
        (8 * GIB, 24 * GIB, 0.4),
        (22 * GIB, 24 * GIB, 1.0),
        (99 * GIB, 24 * GIB, 1.0),
    ],
)
def test_shares_follow_the_forecast(peak: int, memory: int, share: float) -> None:
    assert gpu_share(peak, memory, ALLOWANCES) == share


def test_work_without_a_forecast_gets_a_whole_gpu() -> None:
    assert on_gpu(None, GIB, 80 * GIB, ALLOWANCES) == Claim(
        gpus=1.0, memory_bytes=PROCESS_BYTES + 2 * GIB
    )


def test_a_claim_on_main_memory_never_exceeds_the_largest_machine() -> None:
    assert on_cpu(3 * GIB, GIB, 64 * GIB).memory_bytes == PROCESS_BYTES + 5 * GIB
    assert on_cpu(300 * GIB, GIB, 64 * GIB).memory_bytes == 64 * GIB
    assert on_cpu(None, 0, 64 * GIB).memory_bytes == PROCESS_BYTES


@pytest.mark.parametrize(
    ("wanted", "gpu_bytes", "device"),
    [
        ("auto", None, "cpu"),
        ("auto", 24 * GIB, "cuda"),
        ("cpu", 24 * GIB, "cpu"),
        ("cuda", 24 * GIB, "cuda"),
        ("cuda", None, None),
        ("cuda:1", 24 * GIB, None),
    ],
)
def test_workers_of_a_cluster_use_what_it_has(
    wanted: str, gpu_bytes: int | None, device: str | None
) -> None:
    cluster = pytest.importorskip("bench.executors.cluster", reason="Ray is not installed")
    machines = cluster.Machines(memory_bytes=GIB, gpu_bytes=gpu_bytes)
    if device is None:
        with pytest.raises(InvalidValue, match="The cluster has no device"):
            device_on(machines, wanted)
    else:
        assert device_on(machines, wanted) == device
