"""What a plan asks of GPUs and of the disk, before anything is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench import cards, networks
from bench.executors.graph import Distil, Examine, Node, TrainExpert
from bench.expectations import Expectations, questions
from bench.profiling.rules import ProfileRules
from bench.specs import DatasetSpec
from bench.trials import Distillation

RECORD_BYTES = 3072
"""A record with its parameters, as a line of JSON."""

KINDS: dict[type[Node], str] = {TrainExpert: "experts", Distil: "distil", Examine: "evaluate"}


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is left of a plan, in numbers.

    Attributes:
        seconds: for each device of the catalogue, of ``experts``, ``distil`` and ``evaluate``.
        disk_bytes: of ``experts``, ``synthetic sets`` and ``records``.
        pieces: how many pieces of work there are.
        unknown: how many of them no forecast covers.
    """

    seconds: Mapping[str, Mapping[str, float]]
    disk_bytes: Mapping[str, int]
    pieces: int
    unknown: int


def demand(
    nodes: Iterable[Node],
    expectations: Expectations,
    rules: ProfileRules,
    specs: Mapping[str, DatasetSpec],
    test_counts: Mapping[str, int],
) -> Demand:
    """Add up what ``nodes`` take.

    Args:
        nodes: the graph of a plan.
        expectations: forecasts.
        rules: what they are made by.
        specs: the datasets by name.
        test_counts: how many test images they have.
    """
    seconds: dict[str, dict[str, float]] = {}
    disk = Counter({"experts": 0, "synthetic sets": 0, "records": 0})
    pieces = unknown = 0
    for node in nodes:
        pieces += 1
        answers = [(asked, expectations.answer(asked)) for asked in questions(node, rules)]
        unknown += any(answer is None for _, answer in answers)
        for asked, answer in answers:
            if answer is None:
                continue
            steps = answer.steps if asked.steps is None else asked.steps
            for device, one in answer.seconds.items():
                kinds = seconds.setdefault(device, dict.fromkeys(KINDS.values(), 0.0))
                kinds[KINDS[type(node)]] += steps * one
        disk.update(_disk(node, specs, test_counts))
    return Demand(seconds=seconds, disk_bytes=dict(disk), pieces=pieces, unknown=unknown)


def _disk(
    node: Node, specs: Mapping[str, DatasetSpec], test_counts: Mapping[str, int]
) -> dict[str, int]:
    """Bytes that a node leaves behind."""
    if isinstance(node, TrainExpert):
        expert, spec = node.expert, specs[node.plan.dataset]
        # a snapshot before the first epoch and one after each, in float32
        snapshots = expert.recipe.epochs + 1
        return {"experts": 4 * snapshots * networks.count_parameters(expert.network, spec)}
    if isinstance(node, Distil):
        return {"synthetic sets": _set_bytes(node.plan, specs[node.plan.dataset])}
    assert isinstance(node, Examine)
    correct = test_counts[node.trials[0].distillation.dataset] // 6  # a bit each, in base 64
    return {"records": len(node.trials) * (RECORD_BYTES + correct)}


def _set_bytes(plan: Distillation, spec: DatasetSpec) -> int:
    """Images and labels; a generator, whose weights only its method knows, counts nothing."""
    if plan.budget.kind != "ipc":
        return 0
    channels, height, width = spec.shape
    label = 8 if cards.card(plan.method).labels == "hard" else 4 * spec.num_classes
    image = 4 * channels * height * width
    return plan.budget.count * spec.num_classes * (image + label)
