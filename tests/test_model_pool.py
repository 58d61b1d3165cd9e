"""Model Pool: which network an iteration gets, and the recipe with knowledge distillation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch._subclasses.fake_tensor import FakeTensorMode

from bench import cards, environment, evaluation, networks
from bench.data import SyntheticSource
from bench.datasets import describe
from bench.errors import NotApplicable, UnknownName
from bench.evaluation import students
from bench.networks import Network
from bench.planning import Request, load_rules
from bench.randomness import generator
from bench.recipes import STANDARD, KnowledgeDistillation, Recipe
from bench.records import Record
from bench.specs import Budget
from bench.task import Task
from bench.training import Training
from bench.trials import Tier, Trial
from methods.dc import DatasetCondensation
from methods.model_pool import ACTIVATIONS, NORMS, POOLINGS, ModelPool, other_network
from tests.conftest import Install
from tests.fakes import NETWORK, SPEC, tiny_pair, tiny_task

DC = DatasetCondensation(
    iterations=1,
    outer_loops=2,
    inner_epochs=1,
    lr_images=0.1,
    momentum=0.5,
    lr_student=0.01,
    batch_real=8,
    batch_syn=4,
    init="noise",
    augmentation="none",
)
POOL = ModelPool(**vars(DC), main_probability=0.9, pool_after=0, pool_depth=0)
OTHERS = [
    f"convnet-d3-w64-{norm}-{activation}-{pooling}"
    for norm in ("in", "bn", "ln", "gn")
    for activation in ("relu", "sigmoid", "leaky", "swish")
    for pooling in ("avg", "max")
]


# ---------------------------------------------------------------------------- the draw


def test_the_main_network_has_its_probability_and_the_others_share_the_rest_equally() -> None:
    rng, draws = generator("pool"), 12_800
    counts = Counter(POOL.draw_network("convnet-d3-w64", rng) for _ in range(draws))
    main = counts.pop("convnet-d3-w64")
    assert chisquare([main, draws - main], [0.9 * draws, 0.1 * draws]).pvalue > 0.001
    assert set(counts) == set(OTHERS)
    assert chisquare(list(counts.values())).pvalue > 0.001


@pytest.mark.parametrize(("probability", "main"), [(0.0, 0), (1.0, 200)])
def test_a_probability_of_none_or_all_is_exact(probability: float, main: int) -> None:
    rng, method = generator("pool"), replace(POOL, main_probability=probability)
    drawn = [method.draw_network(NETWORK, rng) for _ in range(200)]
    assert drawn.count(NETWORK) == main


def test_the_draw_depends_on_the_generator_alone() -> None:
    def draw() -> list[str]:
        rng = generator("pool", 7)
        return [POOL.draw_network(NETWORK, rng) for _ in range(50)]

    before, first = torch.get_rng_state(), draw()
    with FakeTensorMode():
        forecast = draw()
    assert first == draw() == forecast
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("main", "depth", "expected"),
    [
        ("convnet-d3", 0, "convnet-d3-gn-leaky-max"),
        ("convnet-d3-w64", 0, "convnet-d3-w64-gn-leaky-max"),
        ("convnet-d2-bn-w32-avg", 0, "convnet-d2-w32-gn-leaky-max"),
        ("convnet-d3-w64", 1, "convnet-d1-w64-gn-leaky-max"),
    ],
)
def test_other_networks_keep_the_width_and_the_depth_of_the_main_one(
    main: str, depth: int, expected: str
) -> None:
    assert other_network(main, "gn", "leaky", "max", depth) == expected


def test_every_network_of_the_pool_can_be_built() -> None:
    for norm, activation, pooling in product(NORMS, ACTIVATIONS, POOLINGS):
        network = networks.build(
            other_network(NETWORK, norm, activation, pooling), SPEC, generator()
        )
        assert network(torch.zeros(2, *SPEC.shape)).shape == (2, 3)


def test_a_main_network_that_is_no_convnet_is_skipped_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="the main network is mlp"):
        POOL.prepare(tiny_task(tmp_path, network="mlp"))


# ---------------------------------------------------------------------------- in the loop


def networks_used(method: ModelPool, task: Task, monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    """The networks that ``method`` asks ``task`` for, step by step."""
    names: list[str] = []
    fresh = Task.fresh_network

    def note(self: Task, name: str | None = None) -> Network:
        names.append(name or self.network)
        return fresh(self, name)

    monkeypatch.setattr(Task, "fresh_network", note)
    state = method.prepare(task)
    for _ in range(method.steps):
        method.step(state)
    return names


def test_the_release_lets_shallow_networks_in_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = replace(POOL, iterations=6, pool_after=3, pool_depth=1, main_probability=0.0)
    used = networks_used(method, tiny_task(tmp_path, network="convnet-d2-w8"), monkeypatch)
    assert used[:3] == ["convnet-d2-w8"] * 3
    assert all(name.startswith("convnet-d1-w8-") for name in used[3:])


def test_each_iteration_draws_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = replace(POOL, iterations=8, main_probability=0.0)
    used = networks_used(method, tiny_task(tmp_path), monkeypatch)
    assert len(used) == 8
    assert len(set(used)) > 4


def test_with_the_main_network_alone_it_is_dc(tmp_path: Path) -> None:
    images = []
    for method in (DC, replace(POOL, pool_after=1)):
        state = method.prepare(tiny_task(tmp_path))
        method.step(state)
        images.append(method.result(state).images)
    assert torch.equal(*images)


def test_one_network_is_matched_and_trained_as_often_as_in_dc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Any] = []
    run_epoch = Training.run_epoch

    def note(self: Training) -> torch.Tensor:
        trained.append(self.network)
        return run_epoch(self)

    monkeypatch.setattr(Training, "run_epoch", note)
    method = replace(POOL, outer_loops=3, inner_epochs=2, main_probability=0.0)
    state = method.prepare(tiny_task(tmp_path))
    moves: list[int] = []
    state.optimizer.register_step_post_hook(lambda *_: moves.append(len(trained)))
    method.step(state)
    assert moves == [0, 2, 4]
    assert len({id(network) for network in trained}) == 1


# ------------------------------------------------------- knowledge distillation at evaluation


def planned(method: str, dataset: str, tier: Tier = "quick") -> dict[str, Trial]:
    """One trial a track."""
    request = Request(
        methods=(method,),
        specs={dataset: describe(dataset)},
        checksums={},
        budgets=(Budget("ipc", 1),),
        seeds=1,
    )
    return {trial.track: trial for trial in load_rules("ipc-grid", tier).plan(request)}


@pytest.mark.parametrize(
    ("dataset", "tier", "teacher"),
    [
        ("digits", "quick", "convnet-d2-w32"),
        ("cifar10", "paper", "convnet-d3"),
        ("tiny-imagenet", "paper", "convnet-d4"),
    ],
)
def test_the_native_track_distils_knowledge_from_the_network_distilled_with(
    dataset: str, tier: Tier, teacher: str
) -> None:
    trials = planned("model-pool-kd", dataset, tier)
    rule = KnowledgeDistillation(teacher=teacher, alpha=0.5, temperature=1.5)
    assert trials["native"].distillation.network == teacher
    assert trials["native"].recipe.distillation == rule
    assert trials["native"].recipe.epochs == 300
    assert trials["native"].recipe.augmentation == "none"
    assert trials["standard"].recipe.distillation is None


def test_without_kd_the_recipe_is_that_of_dc() -> None:
    pool, dc = (planned(method, "digits")["native"].recipe for method in ("model-pool", "dc"))
    assert pool == dc


def test_both_methods_share_every_set_and_the_standard_student() -> None:
    with_kd, without = (planned(method, "digits") for method in ("model-pool-kd", "model-pool"))
    assert with_kd["native"].distillation == without["native"].distillation
    assert with_kd["standard"].evaluation_key == without["standard"].evaluation_key
    assert with_kd["standard"].id != without["standard"].id
    assert {trial.method for trial in with_kd.values()} == {"model-pool-kd"}


def test_the_record_tells_of_the_teacher() -> None:
    record = Record.of(
        planned("model-pool-kd", "digits")["native"],
        status="skipped",
        reason="never run",
        environment=environment.describe(torch.device("cpu"), "fp32"),
        time="2024-01-01T00:00:00Z",
    )
    assert (record.method.name, record.trial.distilled_by) == ("model-pool-kd", "model-pool")
    told = record.model_dump(mode="json")["recipe"]["distillation"]
    assert told == {"teacher": "convnet-d2-w32", "alpha": 0.5, "temperature": 1.5}


def test_the_teacher_trains_on_the_same_set_under_the_same_recipe_without_a_teacher(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = replace(planned("model-pool-kd", "digits")["native"].recipe, epochs=2)
    started: list[tuple[SyntheticSource, str, Recipe]] = []
    start = students.start_training

    def note(source: SyntheticSource, network: str, recipe: Recipe, *others: Any) -> Training:
        started.append((source, network, recipe))
        return start(source, network, recipe, *others)

    monkeypatch.setattr(students, "start_training", note)
    train, test = tiny_pair().train, tiny_pair().test
    source = train.subset(torch.tensor([members[0] for members in train.class_indices]))
    evaluation.evaluate(source, "mlp", recipe, test, [0])
    teacher, student = started
    assert teacher[0] is student[0]
    assert (teacher[1], student[1]) == ("convnet-d2-w32", "mlp")
    assert teacher[2] == replace(recipe, distillation=None)
    assert student[2] == recipe


# ---------------------------------------------------------------------------- cards

CARD = """
title = "Ours"
paper = "We, 2024"

[native]
"distillation.alpha" = { value = 0.3, source = "paper, table 1" }

[[preset]]
dataset = "digits"
native."distillation.teacher" = { value = "mlp", source = "paper, table 1" }
"""


def test_a_card_gives_the_rule_field_by_field(install: Install) -> None:
    write_card(install, CARD)
    rules = [
        cards.native_track("ours", STANDARD, "quick", dataset, Budget("ipc", 1))[0].distillation
        for dataset in ("digits", "mnist")
    ]
    assert rules == [
        KnowledgeDistillation(teacher="mlp", alpha=0.3),
        KnowledgeDistillation(teacher=cards.MAIN, alpha=0.3),
    ]


def test_a_teacher_of_another_name_stays(install: Install) -> None:
    write_card(install, CARD)
    native = planned("ours", "digits")["native"]
    assert native.recipe.distillation == KnowledgeDistillation(teacher="mlp", alpha=0.3)


def test_a_field_that_the_rule_does_not_have_is_refused(install: Install) -> None:
    write_card(install, CARD.replace("alpha", "alfa"))
    with pytest.raises(UnknownName, match=r"recipe field .*Did you mean 'distillation\.alpha'"):
        cards.native_track("ours", STANDARD, "quick", "digits", Budget("ipc", 1))


def write_card(install: Install, text: str) -> None:
    """Install the card of a stranger's method ``ours``."""
    package = install({"methods": {"ours": "strange_pool.ours:Ours"}}) / "strange_pool"
    (package / "presets").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "presets" / "ours.toml").write_text(text)
