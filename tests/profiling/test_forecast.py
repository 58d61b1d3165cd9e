"""Forecasts against the papers' curves, against longer runs of themselves, and against pins."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from bench import plugins
from bench.planning import rules_hash
from bench.profiling.forecast import Forecast, forecast
from bench.profiling.records import PHASES, Phase
from bench.profiling.rules import load_rules
from bench.trials import TIERS
from tests.profiling.conftest import MakeSubject

PINS = json.loads(Path(__file__).with_name("pins.json").read_text())
MIB = 2**20
TESLA_MTT_SLOPE = 288 * MIB
"""(31,469 - 2,961) / 99 in TESLA's table 4; its MB are the driver's, which are MiB."""


@pytest.mark.parametrize("method", plugins.names("methods"))
def test_peaks_of_the_quick_tier_are_pinned(subject: MakeSubject, method: str) -> None:
    """A method that needs more memory than before says so here."""
    assert forecast(subject(method), "distill").peak_bytes == pytest.approx(
        PINS["peaks"][method], rel=0.01
    )


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("method", ["random", "k-center", "mtt", "label-only", "whole"])
def test_every_kind_of_method_has_a_forecast_for_every_phase(
    subject: MakeSubject, method: str, phase: Phase
) -> None:
    found = forecast(subject(method, rules={"excerpt": 512}), phase)
    assert found.steps >= 1
    assert found.peak_bytes >= 0
    assert min(counts(found)) >= 0


@pytest.mark.parametrize("tier", TIERS)
def test_rules_are_frozen(tier: str) -> None:
    rules = load_rules("efficiency", tier)  # type: ignore[arg-type]
    assert rules_hash(rules) == PINS["rules"][f"{rules.name}-v{rules.version}"][tier]


def slope(subject: MakeSubject, method: str, low: int, high: int) -> float:
    """Bytes that one more matching step adds."""
    at = subject(method, tier="paper", batch_syn=100)
    peaks = [forecast(at.at("matching_steps", n), "distill").peak_bytes for n in (low, high)]
    return (peaks[1] - peaks[0]) / (high - low)


def test_mtt_grows_by_what_tesla_measured(subject: MakeSubject) -> None:
    assert slope(subject, "mtt", 2, 12) == pytest.approx(TESLA_MTT_SLOPE, rel=0.03)


@pytest.mark.slow
def test_mtt_grows_along_a_straight_line(subject: MakeSubject) -> None:
    assert slope(subject, "mtt", 1, 100) == pytest.approx(TESLA_MTT_SLOPE, rel=0.03)
    assert slope(subject, "mtt", 50, 100) == pytest.approx(TESLA_MTT_SLOPE, rel=0.03)


@pytest.mark.parametrize(
    "steps", [10, pytest.param(100, marks=pytest.mark.slow)], ids=["T=10", "T=100"]
)
@pytest.mark.parametrize("gradient", ["two-pass", "adjoint"])
def test_memory_hardly_grows_with_matching_steps(
    subject: MakeSubject, gradient: str, steps: int
) -> None:
    at = subject("tesla", tier="paper", batch_syn=100, gradient=gradient)
    one, many = (forecast(at.at("matching_steps", n), "distill").peak_bytes for n in (1, steps))
    assert one <= many < 1.3 * one


def counts(found: Forecast) -> tuple[float, float, float]:
    return found.flops, found.bytes_moved, sum(found.work.values())


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("apm", {"student_epochs": 40, "reuse": 1}),
        pytest.param("dsa", {"outer_loops": 4, "inner_epochs": 4}, marks=pytest.mark.slow),
    ],
)
def test_work_along_a_line_is_that_of_the_whole_length(
    subject: MakeSubject, method: str, changes: dict[str, int]
) -> None:
    extended = forecast(subject(method, **changes), "distill")
    whole = forecast(subject(method, rules={"lengths": ()}, **changes), "distill")
    # families of augmentations are drawn, and cost more or less
    assert counts(extended) == pytest.approx(counts(whole), rel=0.1)
    assert extended.peak_bytes == pytest.approx(whole.peak_bytes, rel=0.02)


def test_work_that_walks_over_real_images_grows_with_their_number(subject: MakeSubject) -> None:
    ten_batches = {"batch_real": 128, "train_count": 1280}
    whole = forecast(subject("cgan", **ten_batches), "distill")
    excerpt = forecast(subject("cgan", rules={"excerpt": 512}, **ten_batches), "distill")
    assert whole.walks
    assert counts(excerpt) == pytest.approx(counts(whole), rel=0.05)
    assert excerpt.peak_bytes == pytest.approx(whole.peak_bytes, rel=0.02)


def test_a_cycle_of_steps_is_averaged(subject: MakeSubject) -> None:
    """APM trains students in one step of three."""
    every, third = (
        forecast(subject("apm", reuse=reuse, student_epochs=20), "distill").flops
        for reuse in (1, 3)
    )
    assert third < 0.6 * every


def test_no_image_of_imagenet_is_needed(
    subject: MakeSubject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    start = time.process_time()
    at = subject("tesla", tier="paper", dataset="imagenet-1k-64", budget=50, matching_steps=1)
    found = forecast(at, "distill")
    assert time.process_time() - start < 20
    images = 50 * 1000 * 3 * 64 * 64 * 4
    # soft labels of all images at once would take 200 GiB
    assert 2 * images < found.peak_bytes < 24 * 2**30
    assert list(tmp_path.iterdir()) == []


def test_a_forecast_leaves_global_randomness_alone(subject: MakeSubject) -> None:
    before = torch.get_rng_state()
    forecast(subject("mtt"), "distill")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_forecast_repeats(subject: MakeSubject) -> None:
    first, again = (forecast(subject("datm", matching_steps=2), "distill") for _ in range(2))
    assert first == again


def test_expert_epochs_are_counted_once_an_expert(subject: MakeSubject) -> None:
    at = subject("mtt", experts=3, teacher_epochs=7, max_start_epoch=2)
    assert forecast(at, "prepare").steps == 3 * 7
