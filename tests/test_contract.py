"""Contract tests over every entry point: they run over a stranger's plug-ins just as over ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import cards, datasets, distillation, networks, plugins
from bench.data import RealSet
from bench.errors import NotApplicable, UnknownName
from bench.planning import load_rules
from bench.randomness import generator
from bench.specs import Budget, DatasetSpec
from bench.trials import TIERS, Distillation
from tests.fakes import tiny_pair

SHAPES = ((8, 1), (28, 1), (32, 3), (64, 3))

SMALL = {
    "iterations": 2,
    "inner_epochs": 1,
    "outer_loops": 2,
    "teacher_epochs": 2,
    "experts": 2,
    "matching_steps": 2,
    "expert_epochs": 1,
    "max_start_epoch": 1,
    "width": 8,
    "gan_epochs": 1,
    "matching_epochs": 1,
    "student_steps": 1,
}
"""Parameters by the names that methods share: any method in the blink of an eye."""


def spec(size_px: int, channels: int) -> DatasetSpec:
    return DatasetSpec(
        name="any",
        classes=("a", "b", "c"),
        channels=channels,
        size_px=size_px,
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )


def plan(method: str, seed: int, **changes: Any) -> Distillation:
    kind = cards.card(method).budgets[0]
    budget = Budget(kind, 0 if kind == "full" else 2)
    known = cards.card(method).parameters
    small = {key: value for key, value in SMALL.items() if key in known} | changes
    return Distillation(
        method=method,
        version=cards.card(method).version,
        parameters=cards.resolve(method, "quick", "tiny", budget, small).parameters,
        dataset="tiny",
        checksum="",
        preprocessing="normalize",
        split="test",
        budget=budget,
        network="convnet-d1-w8",
        seed=seed,
    )


def make(method: str, tmp_path: Path, seed: int = 0) -> Any:
    train = tiny_pair().train
    return distillation.make(plan(method, seed), train, experts=tmp_path).source


@pytest.mark.parametrize("name", plugins.names("methods"))
class TestMethods:
    def test_adapter_is_a_frozen_dataclass(self, name: str) -> None:
        adapter = plugins.load("methods", name)
        assert is_dataclass(adapter)
        assert adapter.__dataclass_params__.frozen
        assert adapter.__doc__

    def test_card_gives_every_parameter_and_no_other(self, name: str) -> None:
        adapter = plugins.load("methods", name)
        assert {field.name for field in fields(adapter)} == set(cards.card(name).parameters)

    @pytest.mark.parametrize("tier", TIERS)
    def test_presets_build_in_every_tier(self, name: str, tier: Any) -> None:
        for dataset in load_rules("ipc-grid", tier).default_datasets:
            for count in (1, 10, 50):
                resolved = cards.resolve(name, tier, dataset, Budget("ipc", count))
                method = cards.build(name, resolved.parameters)
                assert method.steps >= 0

    def test_hands_over_what_fits_the_budget(self, name: str, tmp_path: Path) -> None:
        source, train = make(name, tmp_path), tiny_pair().train
        if isinstance(source, RealSet):
            assert len(source) == len(train)
            return
        images, labels = source.epoch(generator("epoch"))
        assert images.shape == (2 * train.spec.num_classes, *train.spec.shape)
        assert source.label_kind == ("hard" if cards.card(name).labels == "hard" else "soft")
        if source.label_kind == "hard":
            assert labels.tolist() == sorted(labels.tolist())
            assert labels.bincount().tolist() == [2] * train.spec.num_classes
        assert source.stored_bytes > 0
        assert source.header.method == name

    def test_repeats_for_a_seed_and_leaves_global_randomness_alone(
        self, name: str, tmp_path: Path
    ) -> None:
        before = torch.get_rng_state()
        first, again = make(name, tmp_path / "a"), make(name, tmp_path / "b")
        assert torch.equal(torch.get_rng_state(), before)
        ours, theirs = (source.epoch(generator("epoch")) for source in (first, again))
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])

    def test_another_seed_gives_another_set(self, name: str, tmp_path: Path) -> None:
        first, other = make(name, tmp_path), make(name, tmp_path, seed=1)
        if cards.card(name).budgets != ("full",):  # the whole training set is one and the same
            ours, theirs = (source.epoch(generator("epoch"))[0] for source in (first, other))
            assert not torch.equal(ours, theirs)


@pytest.mark.parametrize("name", plugins.names("networks"))
class TestNetworks:
    @pytest.mark.parametrize(("size_px", "channels"), SHAPES)
    def test_maps_images_to_logits_or_says_why_not(
        self, name: str, size_px: int, channels: int
    ) -> None:
        shape = spec(size_px, channels)
        # 28 px are padded to 32 where that helps
        if size_px < networks.smallest_size(name) and size_px != 28:
            with pytest.raises(NotApplicable, match=str(size_px)):
                networks.build(name, shape, generator("contract", name))
            return
        network = networks.build(name, shape, generator("contract", name))
        images = torch.randn(2, *shape.shape, generator=generator("images"))
        logits = network.eval()(images)
        assert logits.shape == (2, 3)
        assert logits.isfinite().all()
        assert torch.equal(network.classifier(network.embed(images)), logits)

    def test_same_seed_same_weights(self, name: str) -> None:
        shape = spec(32, 3)
        first, again = (networks.build(name, shape, generator("weights")) for _ in range(2))
        assert torch.equal(networks.flatten(first), networks.flatten(again))


@pytest.mark.parametrize("name", plugins.names("datasets"))
def test_dataset_describes_itself_without_its_data(name: str) -> None:
    described = datasets.describe(name)
    assert described.name == name
    assert len(set(described.classes)) == described.num_classes >= 2
    assert all(0 < mean < 1 for mean in described.mean)


@pytest.mark.parametrize("name", plugins.names("protocols"))
class TestProtocols:
    def test_has_three_tiers_of_frozen_rules(self, name: str) -> None:
        tiers = plugins.load("protocols", name)
        assert isinstance(tiers, Mapping)
        assert set(tiers) == set(TIERS)
        for tier, rules in tiers.items():
            assert rules.__dataclass_params__.frozen
            assert (rules.name, rules.tier) == (name, tier)


@pytest.mark.parametrize("group", ["methods", "protocols", "datasets", "networks", "commands"])
def test_unknown_name_suggests_the_nearest(group: Any) -> None:
    nearest = plugins.names(group)[0]
    with pytest.raises(UnknownName, match=f"Did you mean '{nearest}'"):
        plugins.load(group, f"{nearest}x")
