"""Forecast times against times that were measured elsewhere, and by hand."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench import measure
from bench.profiling import catalogue
from bench.profiling.forecast import forecast
from bench.profiling.ledger import DEVICE, Cost, Ledger
from bench.profiling.roofline import COPIED_BYTES, Rates, calibrate, calibrated, expected
from tests.profiling.conftest import MakeSubject

# seconds of one iteration of 50 matching steps, batch 100, on one A6000: TESLA, table 5
TESLA_TABLE_5 = {"mtt": 1.15, "tesla": 1.45}


def test_every_operator_takes_the_longest_of_three() -> None:
    rates = Rates(flops_per_second=100, bytes_per_second=10, operator_seconds=1)
    work = {Cost(500, 10): 2, Cost(0, 70): 3, Cost(1, 1): 4.5}
    assert rates.seconds(work) == 2 * 5 + 3 * 7 + 4.5 * 1


@pytest.mark.parametrize("method", ["mtt", "tesla"])
def test_times_printed_in_a_paper_lie_within_the_band(subject: MakeSubject, method: str) -> None:
    at = subject(method, tier="paper", batch_syn=100, matching_steps=10)
    allowances = at.rules.allowances
    rates = expected(catalogue.device("a6000"), allowances)
    seconds = 5 * rates.seconds(forecast(at, "distill").work)
    printed = TESLA_TABLE_5[method]
    assert printed / allowances.band < seconds < printed * allowances.band


def test_rates_of_the_device_at_hand_are_plausible() -> None:
    rates = calibrated(torch.device("cpu"))
    assert 1e7 < rates.flops_per_second < 1e15
    assert 1e7 < rates.bytes_per_second < 1e13
    assert 1e-8 < rates.operator_seconds < 1e-2


def test_the_calibration_counts_what_it_does() -> None:
    """On the CPU in so many operations; on an accelerator in that many copies of them."""
    for device, copies in ((torch.device("cpu"), 1), (DEVICE, measure.ACCELERATOR_COPIES)):
        with FlopCounterMode(display=False) as counter:
            measure.calibrate(device, repeats=1)
        runs = 2  # one of them warms up
        assert counter.get_total_flops() == runs * copies * measure.CALIBRATION_FLOPS


def test_on_every_known_card_the_calibration_is_work_and_hardly_launches(
    subject: MakeSubject,
) -> None:
    launch = subject("mtt").rules.allowances.operator_seconds
    with Ledger() as ledger:
        measure.calibrate(DEVICE, repeats=1)
    heaviest = max(ledger.work, key=lambda cost: cost.flops)
    for device in catalogue.devices().values():
        if device.cuda_name:
            assert heaviest.flops / (1e12 * device.fp32_tflops.value) > 20 * launch
            copied = 2 * COPIED_BYTES / (1e9 * device.bandwidth_gb_s.value)
            assert copied > 10 * launch


def test_only_a_known_cuda_device_changes_the_stated_shares(subject: MakeSubject) -> None:
    stated = subject("mtt").rules.allowances
    assert calibrate(stated, torch.device("cpu")) is stated
