"""The suite from Python: four calls that need no files."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bench
from bench import api, artifacts, runner
from bench.data import SyntheticSet
from bench.errors import BenchError, ContractError, InvalidValue, MissingData, UnknownName
from bench.evaluation import Outcome, evaluate
from bench.recipes import STANDARD, Recipe
from bench.specs import Budget
from bench.store import Store
from tests.fakes import NETWORK, TINY_GRID, tiny_pair
from tests.jobs import job_of, run
from tests.test_runner import options

QUICK = Recipe(epochs=3, lr=0.05)


@pytest.fixture
def given(registered: None) -> dict[str, Any]:
    """Arguments for quick evaluations on the tiny dataset."""
    return {"dataset": "tiny", "network": NETWORK, "recipe": QUICK, "device": "cpu"}


def some_images(count: int = 2) -> SyntheticSet:
    train = tiny_pair().train
    return train.subset(torch.cat([members[:count] for members in train.class_indices]))


def distil(method: str = "random", **arguments: Any) -> SyntheticSet:
    """``bench.distill`` for methods that hand over images."""
    made = bench.distill(method, **{"dataset": "digits", "device": "cpu", **arguments})
    assert isinstance(made, SyntheticSet)
    return made


def test_distil_then_evaluate_on_digits() -> None:
    """The session of the module's docstring, with fewer epochs."""
    synthetic = distil(budget=1)
    assert repr(synthetic) == "SyntheticSet(10×1×8×8, hard labels, random on digits)"
    recipe = bench.Recipe(epochs=20, lr=0.05)
    told: list[tuple[str, int, int]] = []
    result = bench.evaluate(
        synthetic.images,
        synthetic.labels,
        dataset="digits",
        network="convnet-d2-w32",
        seeds=2,
        recipe=recipe,
        device="cpu",
        progress=lambda *args: told.append(args),
    )
    assert told == [(f"seed {seed}", done, 20) for seed in (0, 1) for done in range(1, 21)]
    assert len(result.accuracies) == 2
    assert all(0.2 < accuracy <= 1 for accuracy in result.accuracies)
    assert result.mean == pytest.approx(sum(result.accuracies) / 2)
    assert "2 seeds, convnet-d2-w32 on digits)" in repr(result)
    assert repr(result).startswith(f"Evaluation({100 * result.mean:.1f} ± {100 * result.std:.1f} %")


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        ([0.1, 0.9], "Evaluation(50.0 ± 40.0 %, 95 % [0.0, 100.0] (cut to [0, 100]), 2 seeds, "),
        ([0.5, 0.51], "Evaluation(50.5 ± 0.5 %, 95 % [44.1, 56.9], 2 seeds, "),
        ([0.5], "Evaluation(50.0 %, 1 seed, "),
    ],
)
def test_an_evaluation_says_when_its_interval_is_cut(accuracies: list[float], said: str) -> None:
    found = [
        Outcome(seed=0, accuracy=value, loss=0.0, correct=b"", seconds=0.0, peak_bytes=0)
        for value in accuracies
    ]
    result = api.Evaluation(outcomes=tuple(found), dataset="tiny", network="mlp", recipe=STANDARD)
    assert repr(result).startswith(said)


def test_evaluate_is_the_engine_and_nothing_more(given: dict[str, Any]) -> None:
    ours = bench.evaluate(some_images(), seeds=2, **given)
    theirs = evaluate(some_images(), NETWORK, QUICK, tiny_pair().test, [0, 1])
    assert ours.accuracies == tuple(outcome.accuracy for outcome in theirs)
    assert [one.correct for one in ours.outcomes] == [one.correct for one in theirs]


def test_tensors_arrays_and_sets_are_the_same(given: dict[str, Any]) -> None:
    one = some_images()
    results = [
        bench.evaluate(one, seeds=1, **given),
        bench.evaluate(one.images, one.labels, seeds=1, **given),
        bench.evaluate(one.images.double().numpy(), one.labels.int().numpy(), seeds=1, **given),
    ]
    assert len({result.accuracies for result in results}) == 1


def test_soft_labels_and_a_learned_rate_are_used(given: dict[str, Any]) -> None:
    one = some_images()
    logits = torch.eye(3)[one.labels] * 5
    given["recipe"] = Recipe(epochs=3, learned_lr=True)
    results = [
        bench.evaluate(one.images, logits, learning_rate=rate, seeds=1, **given).outcomes[0].loss
        for rate in (None, 0.01, 0.2)
    ]
    assert results[0] == results[1] != results[2]


def test_a_recipe_for_hard_labels_takes_the_likeliest_class(given: dict[str, Any]) -> None:
    one = some_images()
    logits = torch.eye(3)[one.labels] * 5
    hard, indices, own = (
        bench.evaluate(
            one.images, labels, seeds=1, **given | {"recipe": Recipe(epochs=3, labels=kind)}
        ).outcomes[0]
        for labels, kind in ((logits, "hard"), (one.labels, "own"), (logits, "own"))
    )
    assert hard.loss == indices.loss != own.loss
    with pytest.raises(ContractError, match="teacher"):
        bench.evaluate(one, seeds=1, **given | {"recipe": Recipe(epochs=1, labels="teacher")})


def test_the_network_is_the_fields_choice_if_none_is_given(given: dict[str, Any]) -> None:
    given["network"] = None
    given["recipe"] = Recipe(epochs=1)
    assert bench.evaluate(some_images(), seeds=1, **given).network == "convnet-d2"
    assert inspect.signature(api.evaluate).parameters["recipe"].default == STANDARD


REFUSED: dict[str, tuple[Any, Any, dict[str, Any], type[BenchError], str]] = {
    "no labels": (torch.zeros(3, 1, 8, 8), None, {}, ContractError, "Images need labels"),
    "two labels": (some_images(), torch.zeros(6), {}, ContractError, "brings its labels"),
    "two rates": (some_images(), None, {"learning_rate": 0.1}, ContractError, "learning rate"),
    "shape": (torch.zeros(3, 1, 9, 9), torch.arange(3), {}, ContractError, "1×8×8"),
    "pixels": (torch.zeros(3, 1, 8, 8).byte(), torch.arange(3), {}, ContractError, "uint8"),
    "count": (torch.zeros(4, 1, 8, 8), torch.arange(3), {}, ContractError, "4 images but 3 labels"),
    "range": (torch.zeros(3, 1, 8, 8), torch.arange(1, 4), {}, ContractError, r"lie in \[0, 3\)"),
    "NaN": (torch.full((3, 1, 8, 8), np.nan), torch.arange(3), {}, ContractError, "NaN"),
    "classes": (torch.zeros(3, 1, 8, 8), torch.zeros(3, 4), {}, ContractError, "logits"),
    "seeds": (some_images(), None, {"seeds": 0}, InvalidValue, "give at least 1"),
    "dataset": (some_images(), None, {"dataset": "tinny"}, UnknownName, "Did you mean 'tiny'"),
    "network": (some_images(), None, {"network": "convnet-d9"}, UnknownName, "convnet"),
    "device": (some_images(), None, {"device": "tpu"}, InvalidValue, "no device 'tpu'"),
    "missing": (some_images(), None, {"dataset": "mnist"}, MissingData, "bench data fetch mnist"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused_in_a_sentence(
    what: str, given: dict[str, Any], tmp_path: Path
) -> None:
    images, labels, changes, error, message = REFUSED[what]
    with pytest.raises(error, match=message):
        bench.evaluate(images, labels, **given | {"data_root": tmp_path} | changes)


def test_a_set_from_another_pixel_space_is_refused(given: dict[str, Any], tmp_path: Path) -> None:
    digits = distil()
    kept = SyntheticSet(images=digits.images[:3], labels=torch.arange(3), header=digits.header)
    with pytest.raises(ContractError, match=r"made in the pixel space .* test images of tiny"):
        bench.evaluate(kept, **given)


@pytest.mark.usefixtures("registered")
def test_distil_takes_the_same_draws_as_a_run(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    (record, _), _ = run(job_of("dm", iterations=3), store)
    assert record.artifact is not None
    told: list[tuple[str, int, int]] = []
    ours = distil(
        "dm",
        dataset="tiny",
        network=NETWORK,
        iterations="3",
        progress=lambda *args: told.append(args),
    )
    theirs = artifacts.load(store.artifact(record.artifact))
    assert isinstance(theirs, SyntheticSet)
    assert torch.equal(ours.images, theirs.images)
    assert told == [("distill", done, 3) for done in (1, 2, 3)]


@pytest.mark.usefixtures("registered")
def test_a_set_has_the_address_that_a_run_gives_it(store: Store) -> None:
    (job,) = runner.plan(options(store, "random")).jobs
    header = distil(dataset="tiny", network=NETWORK).header
    assert header is not None
    assert header.created["key"] == job.distillation.key


@pytest.mark.usefixtures("registered")
def test_distil_takes_budget_seed_and_split() -> None:
    one = distil(dataset="tiny", budget="ipc 4", seed=3, split="validation")
    header = one.header
    assert header is not None
    assert (header.budget, header.created["seed"]) == (Budget("ipc", 4), 3)
    assert header.created["split"] == "validation"
    other = distil(dataset="tiny", budget=4, seed=4, split="validation")
    assert not torch.equal(one.images, other.images)


@pytest.mark.parametrize(
    ("method", "changes", "error", "message"),
    [
        ("rondom", {}, UnknownName, "Did you mean 'random'"),
        ("random", {"budget": 0}, InvalidValue, "no budget"),
        ("random", {"iterations": 3}, UnknownName, "parameter of random"),
        ("dm", {"iterations": "many"}, InvalidValue, "give a value of type int"),
        ("random", {"preprocessing": "raw"}, UnknownName, "preprocessing"),
        ("whole", {"budget": "full"}, ContractError, "hands over no synthetic set"),
    ],
)
@pytest.mark.usefixtures("registered")
def test_distil_refuses_what_cannot_be(
    method: str, changes: dict[str, Any], error: type[BenchError], message: str
) -> None:
    with pytest.raises(error, match=message):
        distil(method, **{"dataset": "tiny", **changes})


def test_a_set_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    made = distil()
    artifacts.save(made, tmp_path / "set.safetensors")
    loaded = bench.load(str(tmp_path / "set.safetensors"))
    assert isinstance(loaded, SyntheticSet)
    assert torch.equal(loaded.images, made.images)
    assert loaded.header == made.header
    assert loaded.to_dataset()[3][1] == made.labels[3]


@pytest.mark.usefixtures("registered")
def test_results_are_a_frame_of_one_row_a_trial(tmp_path: Path) -> None:
    assert bench.results(tmp_path / "nothing").empty
    store = Store(tmp_path / "runs")
    for method in ("walk", "declines"):
        for record in run(job_of(method), store)[0]:
            store.append(record, None)
    frame = bench.results(store.root)
    assert len(frame) == 4
    rows: list[dict[str, Any]] = frame.to_dict("records")  # type: ignore[assignment]
    by_trial = {(row["method.name"], row["trial.track"]): row for row in rows}
    assert by_trial["declines", "native"]["reason"] == "needs larger images"
    assert np.isnan(by_trial["declines", "standard"]["metrics.accuracy"])
    assert 0 <= by_trial["walk", "standard"]["metrics.accuracy"] <= 1
    assert by_trial["walk", "standard"]["recipe.epochs"] == TINY_GRID["quick"].recipe.epochs
