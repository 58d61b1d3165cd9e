"""Generators as synthetic sources: fresh, balanced and exact in their pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import api, evaluation
from bench.data import RealSet
from bench.errors import ContractError, InvalidValue
from bench.generators import SyntheticGenerator, from_signed, to_signed
from bench.randomness import generator
from bench.recipes import Recipe
from bench.specs import Budget
from tests.fakes import NETWORK, tiny_pair
from tests.generators import HEADER, SHAPE, SPACE, SPEC, make, trained


def test_every_epoch_draws_other_images_of_every_class() -> None:
    source, rng = make(), generator("epochs")
    (first, labels), (second, again) = source.epoch(rng), source.epoch(rng)
    assert first.shape == (15, 3, 8, 8)
    assert labels.tolist() == again.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert ((first - second).flatten(1).abs().amax(1) > 0).all()
    assert len(first.flatten(1).unique(dim=0)) == 15


def test_the_same_draws_give_the_same_images() -> None:
    ours, theirs = (make().epoch(generator("epochs"))[0] for _ in range(2))
    assert torch.equal(ours, theirs)


def test_images_are_those_of_the_network_in_eval_mode_in_model_input_space() -> None:
    network, source = trained(), make()
    labels = torch.arange(3).repeat_interleave(5)
    with torch.no_grad():
        signed = network.eval()(SHAPE.draw_latent(labels, generator("epochs")))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (SPEC.mean, SPEC.std))
    expected = ((signed + 1) / 2 - mean) / std
    assert torch.allclose(source.epoch(generator("epochs"))[0], expected, atol=1e-6)


def test_images_do_not_depend_on_how_many_are_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together = make(40).epoch(generator("epochs"))[0]
    monkeypatch.setattr("bench.generators.BATCH", 7)
    assert torch.allclose(make(40).epoch(generator("epochs"))[0], together, atol=1e-5)


def test_signed_pixels_and_back_change_nothing() -> None:
    signed = torch.rand(5, 3, 8, 8, generator=generator("signed"), dtype=torch.float64) * 2 - 1
    there = from_signed(signed, SPACE)
    assert torch.allclose(to_signed(there, SPACE), signed, atol=1e-12)
    white = SPACE.forward(torch.full((1, 3, 8, 8), 255, dtype=torch.uint8))
    assert torch.equal(from_signed(torch.ones(1, 3, 8, 8), SPACE), white)


def test_another_budget_deploys_the_same_weights() -> None:
    few = make(1, replace(HEADER, budget=Budget("inpc", 1)))
    many = few.with_budget(5)
    assert many.weights is few.weights
    assert many.stored_bytes == few.stored_bytes
    assert many.header == HEADER
    assert torch.equal(many.epoch(generator("e"))[0], make().epoch(generator("e"))[0])
    assert few.epoch(generator("e"))[0].shape == (3, 3, 8, 8)


@pytest.mark.parametrize("per_class", [0, -1])
def test_a_budget_of_nothing_cannot_be(per_class: int) -> None:
    with pytest.raises(InvalidValue, match="cannot be"):
        make().with_budget(per_class)


def test_a_budget_beyond_memory_is_refused_with_the_most_that_works() -> None:
    most = 2**34 // (4 * 3 * 3 * 64)
    assert make().with_budget(most).per_class == most
    with pytest.raises(ContractError, match=f"give {most} at most"):
        make().with_budget(most + 1)


def test_a_source_says_what_it_is() -> None:
    source = make()
    assert (source.label_kind, source.learning_rate) == ("hard", None)
    floats = [value for value in trained().state_dict().values() if value.is_floating_point()]
    assert source.stored_bytes == 4 * sum(value.numel() for value in floats)
    assert repr(source).endswith("5 images of 3×8×8 per class and epoch, dim on toy)")


def test_a_source_moves_between_devices() -> None:
    there = make().to("meta")
    assert there.device.type == "meta"
    assert all(value.device.type == "meta" for value in there.weights.values())


@pytest.mark.gpu
def test_a_device_draws_the_same_images() -> None:
    here, there = make(), make().to("cuda")
    images, labels = there.epoch(generator("epochs"))
    assert images.device.type == labels.device.type == "cuda"
    assert torch.allclose(images.cpu(), here.epoch(generator("epochs"))[0], atol=1e-4)


def test_a_students_training_draws_anew_each_epoch() -> None:
    train = tiny_pair().train
    shape = replace(SHAPE, channels=1)
    source = SyntheticGenerator.of(trained(shape), shape, train.preprocessing, 2)
    recipe = Recipe(epochs=3, augmentation="none")
    drawn: list[Tensor] = []

    class Watched(SyntheticGenerator):
        def epoch(self, rng: torch.Generator) -> tuple[Tensor, Tensor]:
            images, labels = super().epoch(rng)
            drawn.append(images)
            return images, labels

        def to(self, device: torch.device | str) -> Watched:
            return self

    watched = Watched(**{name: getattr(source, name) for name in source.__dataclass_fields__})
    evaluation.evaluate(watched, NETWORK, recipe, tiny_pair().test, [0])
    assert len(drawn) == 3
    assert not torch.equal(drawn[0], drawn[1])
    (plain,) = evaluation.evaluate(source, NETWORK, recipe, tiny_pair().test, [0])
    assert 0 <= plain.accuracy <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 1}, "its channels is 3, but toy has 1"),
        ({"size_px": 16}, "its size_px is 8, but toy has 16"),
        ({"classes": ("a", "b")}, "its num_classes is 3, but toy has 2"),
    ],
)
def test_a_source_for_another_dataset_is_refused(changes: dict[str, Any], message: str) -> None:
    if "channels" in changes:
        changes = changes | {"mean": (0.5,), "std": (0.5,)}
    with pytest.raises(ContractError, match=message):
        make().check(replace(SPEC, **changes))


def broken(name: str, value: Tensor | None) -> dict[str, Tensor]:
    """The weights with one changed or, for ``None``, left out."""
    weights = dict(make().weights)
    if value is None:
        del weights[name]
    else:
        weights[name] = value
    return weights


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("layers.0.bias", None, "weights are not those of GanShape"),
        ("layers.0.bias", torch.zeros(65), "weights are not those of GanShape"),
        ("extra", torch.zeros(1), "weights are not those of GanShape"),
        ("layers.0.bias", torch.zeros(64).double(), "layers.0.bias is torch.float64"),
        ("layers.0.bias", torch.full((64,), torch.nan), "layers.0.bias holds NaN or infinity"),
    ],
)
def test_weights_of_other_layers_are_refused(name: str, value: Tensor | None, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        replace(make(), weights=broken(name, value)).check(SPEC)


def test_a_whitened_pixel_space_is_refused() -> None:
    with pytest.raises(ContractError, match="must be normalised"):
        replace(make(), preprocessing=replace(SPACE, kind="zca")).check(SPEC)


@pytest.mark.usefixtures("registered")
def test_a_generator_is_evaluated_as_a_set_is() -> None:
    train: RealSet = tiny_pair().train
    shape = replace(SHAPE, channels=1)
    source = SyntheticGenerator.of(trained(shape), shape, train.preprocessing, 2)
    recipe = Recipe(epochs=2)
    scores = api.evaluate(source, dataset="tiny", network=NETWORK, seeds=2, recipe=recipe)
    assert len(scores.accuracies) == 2
    with pytest.raises(ContractError, match="SyntheticGenerator brings its labels"):
        api.evaluate(source, torch.zeros(6), dataset="tiny")
    with pytest.raises(ContractError, match="cannot be used"):
        api.evaluate(make(), dataset="tiny", network=NETWORK)


def test_drawing_leaves_global_randomness_alone() -> None:
    before = torch.get_rng_state()
    make().epoch(generator("epochs"))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_weights_are_a_copy() -> None:
    network = trained()
    source = SyntheticGenerator.of(network, SHAPE, SPACE, 1)
    before = source.epoch(generator("e"))[0]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert torch.equal(source.epoch(generator("e"))[0], before)
