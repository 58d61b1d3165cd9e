"""Studies: cells as readers and programs see them, and what makes a method another one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import cards
from bench.files import canonical_json
from bench.recipes import Recipe
from bench.records import Costs, Record
from bench.specs import Budget
from bench.studies import (
    CUT,
    NONE,
    Cell,
    Column,
    Estimate,
    Kind,
    Study,
    accuracies,
    duration,
    machines,
    mishaps,
    size,
    text,
    variant,
)
from tests.records import COSTS, ENVIRONMENT, make

VALUES = (0.70, 0.72, 0.74)
MEAN = Estimate.of(VALUES)
TABLE = Study(
    title="What it is",
    columns=(Column(name="Method"), Column(name="Accuracy %", kind="percent")),
    rows=(("dm", MEAN), ("random", 0.5), ("herding", None)),
    notes=("A note.",),
)


def test_an_estimate_of_repetitions_has_their_spread_and_t_interval() -> None:
    assert MEAN is not None
    assert MEAN.value == pytest.approx(0.72)
    assert MEAN.std == pytest.approx(0.02 * (2 / 3) ** 0.5)  # division by n
    assert MEAN.interval is not None
    half = 4.302653 * 0.02 / 3**0.5  # t(0.975, 2)
    assert MEAN.interval == pytest.approx((0.72 - half, 0.72 + half))
    assert MEAN.n == 3


def test_there_is_no_estimate_of_nothing() -> None:
    assert Estimate.of([]) is None


@pytest.mark.parametrize(
    ("cell", "kind", "expected"),
    [
        (None, "percent", NONE),
        ("a word", "percent", "a word"),
        (0.7123, "percent", "71.2"),
        (0.0712, "points", "+7.1"),
        (-0.0712, "points", "-7.1"),
        (7, "number", "7"),
        (0.5, "number", "0.500"),
        (MEAN, "percent", "72.0 ± 1.6 [67.0, 77.0]"),
        (Estimate.of([0.5]), "percent", "50.0"),
        (Estimate(value=0.02, interval=(-0.01, 0.05), n=5), "points", "+2.0 [-1.0, +5.0]"),
        (Estimate(value=0.5, interval=(-0.3, 1.3), n=2), "percent", "50.0 [0.0, 100.0]"),
        (Estimate(value=0.02, std=0.01, n=5), "points", "+2.0 ± 1.0"),
        (0, "seconds", "0 s"),
        (Estimate(value=90.0, interval=(60.0, 7200.0)), "seconds", "1.5 min [1 min, 2 h]"),
        (1500, "bytes", "1.5 kB"),
    ],
)
def test_a_cell_is_written_in_the_unit_of_its_column(cell: Cell, kind: Kind, expected: str) -> None:
    assert text(cell, kind) == expected


@pytest.mark.parametrize(("kind", "is_cut"), [("percent", True), ("points", False)])
def test_a_study_remarks_that_an_interval_is_cut_and_hands_it_on_whole(
    kind: Kind, is_cut: bool
) -> None:
    wide = Estimate(value=0.5, interval=(-0.3, 1.3), n=2)
    study = Study(title="", columns=(Column(name="", kind=kind),), rows=((wide,),), notes=("A.",))
    assert study.remarks == (("A.", CUT) if is_cut else ("A.",))
    assert study.as_dict()["notes"] == ["A."]
    assert study.as_dict()["rows"][0][0]["interval"] == [-0.3, 1.3]
    assert TABLE.remarks == TABLE.notes


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (0.0004, "< 1 ms"),
        (0.0123, "12.3 ms"),
        (1, "1 s"),
        (59.94, "59.9 s"),
        (90, "1.5 min"),
        (5400, "1.5 h"),
        (3_600_000, "1,000 h"),
    ],
)
def test_durations_have_the_largest_unit_that_leaves_one(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (999, "999 B"), (2640, "2.64 kB"), (123_456_789, "123 MB"), (10**10, "10 GB")],
)
def test_sizes_have_decimal_units(count: int, expected: str) -> None:
    assert size(count) == expected


@given(st.floats(0, 1e9))
def test_no_duration_or_size_needs_an_exponent(value: float) -> None:
    assert "e" not in duration(value)
    assert "e" not in size(value)


def test_a_program_gets_the_numbers_unrounded() -> None:
    assert MEAN is not None
    assert MEAN.interval is not None
    told = json.loads(canonical_json(TABLE.as_dict()))
    assert told == {
        "title": "What it is",
        "columns": [
            {"name": "Method", "kind": "text"},
            {"name": "Accuracy %", "kind": "percent"},
        ],
        "rows": [
            [
                "dm",
                {"value": MEAN.value, "std": MEAN.std, "interval": list(MEAN.interval), "n": 3},
            ],
            ["random", 0.5],
            ["herding", None],
        ],
        "notes": ["A note."],
    }


def test_a_reader_gets_every_row_in_order() -> None:
    assert TABLE.texts() == [
        ["dm", "72.0 ± 1.6 [67.0, 77.0]"],
        ["random", "50.0"],
        ["herding", NONE],
    ]


def test_a_row_must_fill_every_column() -> None:
    short = Study(title="", columns=TABLE.columns, rows=(("dm",),))
    with pytest.raises(ValueError, match="zip"):
        short.texts()


# records


def method(name: str = "dm", version: int = 1, preset: str = "quick") -> Any:
    record = make(name)
    facts = record.method.model_copy(update={"version": version, "preset": preset})
    return record.model_copy(update={"method": facts})


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "dm"),
        ({"preset": "quick lr_images=5.0"}, "dm (lr_images=5.0)"),
        ({"preset": "quick init=noise lr_images=5.0"}, "dm (init=noise, lr_images=5.0)"),
        ({"version": 2}, "dm v2"),
        ({"version": 2, "preset": "quick init=noise"}, "dm v2 (init=noise)"),
        ({"preset": ""}, "dm"),
    ],
)
def test_what_a_user_changed_makes_another_method(facts: dict[str, Any], expected: str) -> None:
    assert variant(method(**facts)) == expected


@pytest.mark.parametrize("stated", ["quick", "quick iterations=7 lr_images=5.0"])
def test_the_installed_card_tells_what_was_changed_whatever_the_record_states(stated: str) -> None:
    preset = cards.resolve("dm", "quick", "digits", Budget("ipc", 1)).parameters
    assert variant(make("dm", parameters=preset, preset=stated)) == "dm"
    changed = make("dm", parameters=preset | {"iterations": 7}, preset=stated)
    assert variant(changed) == "dm (iterations=7)"
    other_version = make("dm", parameters=preset, preset="quick lr_images=5.0", method_version=99)
    assert variant(other_version) == "dm v99 (lr_images=5.0)"


def test_another_precision_makes_another_method_as_well() -> None:
    usual, reduced = make(), make(recipe=Recipe(epochs=300, precision="bf16"))
    assert variant(reduced) == f"{variant(usual)} (precision=bf16)"


def test_accuracies_are_those_of_students_that_ended_well() -> None:
    ended = [
        make(seed=0, metrics={"accuracy": 0.5}),
        make(seed=1, status="diverged", metrics={"accuracy": 0.1}),
        make(seed=2, status="failed", metrics={}),
        make(seed=3, metrics={"accuracy": 0.25}),
    ]
    assert accuracies(ended) == [0.5, 0.25]


def test_mishaps_are_counted_by_method_and_reason() -> None:
    ended = [
        make("dm", seed=0),
        make("dm", seed=1, status="diverged", reason="the loss is nan", metrics={}),
        make("dm", seed=2, status="diverged", reason="the loss is nan", metrics={}),
        make("dm", seed=3, status="oom", metrics={}),
        make("dc", seed=4, status="skipped", reason="needs colour", metrics={}),
    ]
    assert mishaps(ended) == (
        "dc: 1 × skipped, needs colour.",
        "dm: 2 × diverged, the loss is nan.",
        "dm: 1 × oom.",
    )
    assert mishaps(reversed(ended)) == mishaps(ended)
    assert mishaps([]) == ()


def test_times_of_several_devices_are_told() -> None:
    def distilled_on(*devices: str) -> Record:
        there = tuple(ENVIRONMENT.model_copy(update={"device": name}) for name in devices)
        return make(cost=COSTS.model_copy(update={"distilled_on": there}))

    own = ENVIRONMENT.device
    assert machines([make(), distilled_on(own)]) == ()  # where it is not said it is the student's
    assert machines([distilled_on("H200"), distilled_on("H200")]) == ()
    (told,) = machines([make(), distilled_on("H200", "A100")])
    assert told == f"Distillations were timed on several devices: A100, {own}, H200."
    assert machines([make(cost=Costs()), distilled_on("H200")]) == ()


def test_times_of_an_unequally_loaded_machine_are_told() -> None:
    def timed(method: str, *kernels: float) -> list[Record]:
        there = [ENVIRONMENT.model_copy(update={"calibration_seconds": time}) for time in kernels]
        costs = [COSTS.model_copy(update={"distilled_on": (place,)}) for place in there]
        return [make(method, seed=seed, cost=cost) for seed, cost in enumerate(costs)]

    quiet = timed("dm", 0.010, 0.011, 0.9)
    assert machines([*quiet, *timed("dc", 0.012, 0.012, 0.013)]) == ()
    (told,) = machines([*quiet, *timed("dc", 0.030, 0.001, 0.031)])
    assert told.endswith(
        "took 11 ms when dm was distilled and 30 ms when dc was distilled (medians)."
    )
