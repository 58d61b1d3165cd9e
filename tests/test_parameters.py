"""What a parameter may be: said once as its type, refused before any work where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from typer.testing import CliRunner

from bench import cards, plugins
from bench.cli import app
from bench.errors import BenchError, InvalidValue
from bench.parameters import Count, OneOf, Range, Share, check
from bench.specs import Budget

if TYPE_CHECKING:
    from nowhere import Nothing  # type: ignore[import-not-found]

TEN = Budget("ipc", 10)


@pytest.mark.parametrize(
    ("rule", "inside", "outside", "said"),
    [
        (Range(1), (1, 5, 1e9), (0, -5, nan), "at least 1"),
        (Range(0, above=True), (1e-9, 3.0), (0, -1.0, nan), "more than 0"),
        (Range(0, 1), (0, 0.5, 1), (-0.1, 1.1, nan), "at least 0 and at most 1"),
        (Range(0, 1, below=True), (0, 0.999), (1, nan), "at least 0 and less than 1"),
        (Range(), (-1e9, 0), (nan,), "any number"),
        (OneOf(["a", "b", "c"]), ("a", "c"), ("d", ""), "'a', 'b' or 'c'"),
        (OneOf([3]), (3,), (4,), "3"),
    ],
)
def test_a_rule_allows_what_it_says(rule: Any, inside: Any, outside: Any, said: str) -> None:
    assert all(rule.allows(value) for value in inside)
    assert not any(rule.allows(value) for value in outside)
    assert str(rule) == said


@dataclass(frozen=True, kw_only=True)
class Marked:
    """A stranger's adapter that says what it takes."""

    steps_taken: Count = 3
    share: Share = 0.5
    kind: Literal["near", "far"] = "near"
    free: int = 0
    other: Annotated[float, "a note of the stranger's own"] = 0.0


@dataclass(frozen=True, kw_only=True)
class More(Marked):
    """One that narrows what it inherits."""

    steps_taken: Annotated[int, Range(1, 9)] = 3


@dataclass(frozen=True, kw_only=True)
class Unresolvable:
    """A stranger's adapter with a type that only a type checker sees."""

    nothing: Nothing = None
    steps_taken: Count = 3


@pytest.mark.parametrize(
    ("adapter", "values", "said"),
    [
        (Marked, {"steps_taken": 0}, "ours.steps_taken is 0; give at least 1."),
        (Marked, {"share": 2.0}, "ours.share is 2.0; give at least 0 and at most 1."),
        (Marked, {"kind": "up"}, "ours.kind is 'up'; give 'near' or 'far'."),
        (More, {"steps_taken": 10}, "ours.steps_taken is 10; give at least 1 and at most 9."),
    ],
)
def test_a_value_outside_is_refused_by_its_full_name(
    adapter: type, values: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        check("ours", adapter, values)
    assert str(caught.value) == said


def test_parameters_without_a_rule_are_free() -> None:
    check("ours", Marked, {"free": -5, "other": -5.0, "unheard-of": None})
    check("ours", Unresolvable, {"nothing": 1, "steps_taken": -5})
    check("ours", dict, {"steps_taken": -5})


@pytest.mark.parametrize(
    ("method", "key", "given", "said"),
    [
        ("dm", "iterations", -5, "dm.iterations is -5; give at least 1."),
        ("dm", "batch_real", 0, "dm.batch_real is 0; give at least 1."),
        ("dm", "momentum", 1.0, "dm.momentum is 1.0; give at least 0 and less than 1."),
        ("dm", "init", "foo", "dm.init is 'foo'; give 'real' or 'noise'."),
        ("dm", "augmentation", "foo", "dm.augmentation is 'foo'; give 'none', 'dsa', "),
        ("dc", "batch_syn", 0, "dc.batch_syn is 0; give at least 1."),
        ("mtt", "matching_steps", 0, "mtt.matching_steps is 0; give at least 1."),
        ("mtt", "experts", 0, "mtt.experts is 0; give at least 1."),
        ("mtt", "batch_syn", -1, "mtt.batch_syn is -1; give at least 0."),
        ("mtt", "lr_images", 0.0, "mtt.lr_images is 0.0; give more than 0."),
        ("mtt", "max_start_epoch", 999, "mtt cannot be: Segments .* max_start_epoch"),
        ("mtt", "min_start_epoch", 5, "mtt cannot be: min_start_epoch is 5; give less than 5"),
        ("tesla", "gradient", "bogus", "give 'unrolled', 'two-pass' or 'adjoint'."),
        ("ftd", "ema", 1.5, "ftd.ema is 1.5; give at least 0 and at most 1."),
        ("apm", "objective", "l1", "apm.objective is 'l1'; give 'log-distance' or 'distance'."),
        ("apm", "checkpoints", 1000, "apm cannot be: checkpoints is 1000; .* student_epochs"),
        ("apm", "mini_batch", -1, "apm.mini_batch is -1; give at least 0."),
        ("dim", "matched", "l1", "dim.matched is 'l1'; give 'logits' or 'log-softmax'."),
        ("model-pool", "main_probability", 1.1, "main_probability is 1.1; give at least 0 and at"),
        ("model-pool", "pool_depth", 5, "pool_depth is 5; give at least 0 and at most 4."),
        ("model-pool", "pool_after", -1, "model-pool.pool_after is -1; give at least 0."),
        ("herding", "teacher_augmentation", "x", "herding.teacher_augmentation is 'x'; give "),
    ],
)
def test_senseless_parameters_are_refused_in_the_plan(
    method: str, key: str, given: Any, said: str
) -> None:
    with pytest.raises(InvalidValue, match=said):
        cards.resolve(method, "quick", "digits", TEN, {key: given})


@pytest.mark.parametrize("name", plugins.names("methods"))
def test_no_parameter_of_a_method_of_ours_takes_everything(name: str) -> None:
    """A number below every range, and a word that is no choice."""
    preset = cards.resolve(name, "quick", "digits", TEN).parameters
    for key, value in preset.items():
        if not isinstance(value, bool):
            senseless = "no such choice" if isinstance(value, str) else -(10.0**9)
            with pytest.raises(BenchError):
                cards.resolve(name, "quick", "digits", TEN, {key: senseless})


def test_zero_means_all_images_where_a_method_says_so() -> None:
    for method, key in (("mtt", "batch_syn"), ("apm", "mini_batch"), ("model-pool", "pool_depth")):
        assert cards.resolve(method, "quick", "digits", TEN, {key: 0}).parameters[key] == 0


def test_a_run_with_a_senseless_parameter_ends_before_it_begins() -> None:
    words = ["run", "--method", "dm", "--dataset", "digits", "--set", "dm.iterations=-5"]
    ended = CliRunner().invoke(app, words)
    assert isinstance(ended.exception, InvalidValue)
