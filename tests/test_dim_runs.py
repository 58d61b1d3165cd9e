"""DiM from start to hand-over: resumed, repeated, refused, kept by a run; and its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import api, artifacts, cards
from bench.distillation import distill
from bench.errors import ContractError, InvalidValue, NotApplicable, UnknownName
from bench.generators import SyntheticGenerator
from bench.randomness import generator
from bench.recipes import Recipe
from bench.specs import Budget
from bench.store import Store
from methods.dim import DistillingState, DistillIntoModel
from tests.fakes import NETWORK, tiny_task
from tests.jobs import GENERATOR, job_of, run
from tests.tiny_gans import adapter, equal, source, task


def test_the_generator_does_not_depend_on_the_budget(tmp_path: Path) -> None:
    few, many = (source(distill(adapter(), task(tmp_path, inpc=n))) for n in (1, 10))
    assert (few.per_class, many.per_class) == (1, 10)
    assert equal(few.weights, many.weights)
    redeployed, _ = few.with_budget(10).epoch(generator("epoch"))
    assert torch.equal(redeployed, many.epoch(generator("epoch"))[0])


@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_resumed_run_equals_an_undisturbed_one(step: int, tmp_path: Path) -> None:
    undisturbed = distill(adapter(), task(tmp_path))
    options: dict[str, Any] = {"checkpoint": tmp_path / "checkpoint", "checkpoint_seconds": 0}

    def interrupt(done: int, total: int, metrics: Mapping[str, float]) -> None:
        if done == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distill(adapter(), task(tmp_path), report=interrupt, **options)
    assert options["checkpoint"].exists()
    resumed = distill(adapter(), task(tmp_path), **options)
    assert equal(source(resumed).weights, source(undisturbed).weights)
    assert resumed.curve == undisturbed.curve


def test_a_seed_repeats_and_another_differs(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    first, again, other = (
        source(distill(adapter(), task(tmp_path, seed=seed))) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert equal(first.weights, again.weights)
    assert not equal(first.weights, other.weights)


def test_images_per_class_do_not_bound_a_generator(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="which ipc 2 does not bound"):
        distill(adapter(), tiny_task(tmp_path))


def test_whitened_pixels_are_not_generated(tmp_path: Path) -> None:
    given = task(tmp_path)
    space = replace(given.real.preprocessing, kind="zca")
    with pytest.raises(NotApplicable, match="not whitened"):
        distill(adapter(), replace(given, real=replace(given.real, preprocessing=space)))


def test_a_generator_is_trained_for_an_epoch_at_least() -> None:
    with pytest.raises(InvalidValue, match="gan_epochs and matching_epochs are both 0"):
        adapter(gan_epochs=0, matching_epochs=0)


def test_a_pool_of_unknown_networks_is_refused() -> None:
    with pytest.raises(UnknownName, match="'resnet-9'"):
        adapter(pool="resnet18-bn|resnet-9")


def test_a_generator_for_another_budget_breaks_the_contract(tmp_path: Path) -> None:
    class Generous(DistillIntoModel):
        def result(self, state: DistillingState) -> SyntheticGenerator:
            return super().result(state).with_budget(state.task.budget.count + 1)

    method = Generous(**vars(adapter(gan_epochs=1, matching_epochs=0)))
    with pytest.raises(ContractError, match="for a budget of inpc 2"):
        distill(method, task(tmp_path))


def test_the_papers_values_are_the_preset() -> None:
    values = {k: v.value for k, v in cards.card("dim").parameters.items()}
    assert values == {
        "width": 196,
        "latent": 100,
        "gan_epochs": 120,
        "matching_epochs": 100,
        "batch_real": 64,
        "lr_generator": 1e-4,
        "lr_matching": 1e-4,
        "matching_weight": 0.01,
        "matched": "logits",
        "pool": "resnet10-w32-bn|resnet18-w32-bn|resnet10-ap-w32-bn|resnet18-ap-w32-bn",
        "student_steps": 16,
        "lr_student": 0.01,
        "augmentation": "color-crop",
    }


@pytest.mark.parametrize("tier", ["quick", "lite", "paper"])
def test_cgan_is_dim_without_matching_for_as_many_epochs(tier: Any) -> None:
    for dataset in ("digits", "cifar10", "tiny-imagenet"):
        dim, cgan = (
            cards.resolve(name, tier, dataset, Budget("inpc", 1)).parameters
            for name in ("dim", "cgan")
        )
        assert cgan["matching_epochs"] == 0
        assert cards.build("cgan", cgan).steps == cards.build("dim", dim).steps
        assert {k for k in dim if dim[k] != cgan[k]} == {"gan_epochs", "matching_epochs"}
    assert cards.card("cgan").budgets == cards.card("dim").budgets == ("inpc",)


@pytest.mark.usefixtures("registered")
def test_the_api_hands_over_and_scores_a_generator() -> None:
    made = api.distill("dim", dataset="tiny", budget=2, network=NETWORK, **GENERATOR)
    assert isinstance(made, SyntheticGenerator)
    assert made.header is not None
    assert made.header.budget == Budget("inpc", 2)
    assert made.header.method == "dim"
    scores = api.evaluate(
        made.with_budget(3), dataset="tiny", network=NETWORK, seeds=1, recipe=Recipe(epochs=3)
    )
    assert 0 <= scores.mean <= 1


@pytest.mark.usefixtures("registered")
def test_a_run_keeps_a_generator_and_finds_it_again(store: Store) -> None:
    job = job_of("dim", **GENERATOR)
    (record, *_), events = run(job, store)
    assert record.status == "ok", record.reason
    assert record.artifact is not None
    kept = artifacts.load(store.artifact(record.artifact))
    assert isinstance(kept, SyntheticGenerator)
    assert record.cost.stored_bytes == kept.stored_bytes
    (again, *_), events = run(job, store)
    assert "distill" not in {getattr(event, "phase", None) for event in events}
    assert again.metrics == record.metrics
    assert again.artifact == record.artifact
