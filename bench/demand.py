"""What a plan asks of GPUs and of the disk, before anything is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench import cards, networks
from bench.executors.graph import Distil, Examine, Node, TrainExpert
from bench.expectations import Expectations, Question, questions
from bench.profiling import capacity, catalogue
from bench.profiling.records import Phase
from bench.profiling.rules import ProfileRules
from bench.specs import DatasetSpec
from bench.trials import Distillation

RECORD_BYTES = 3072
"""A record with its parameters, as a line of JSON."""

KINDS: dict[type[Node], str] = {TrainExpert: "experts", Distil: "distil", Examine: "evaluate"}


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The piece of a plan that takes the most memory.

    Attributes:
        bytes: of tensors on the device.
        phase: of what.
        method: whose.
        dataset: on what.
        budget: for how much.
        network: what distils, or the student.
    """

    bytes: int
    phase: Phase
    method: str
    dataset: str
    budget: str
    network: str

    @classmethod
    def of(cls, question: Question, peak_bytes: int) -> Peak:
        """The peak that answers ``question``."""
        plan = question.plan
        return cls(
            bytes=peak_bytes,
            phase=question.phase,
            method=plan.method,
            dataset=plan.dataset,
            budget=str(plan.budget),
            network=question.network,
        )


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is left of a plan, in numbers.

    Attributes:
        seconds: for each device of the catalogue, of ``experts``, ``distil`` and ``evaluate``.
        too_large: for each device, how many pieces do not fit in its memory.
        peak: the largest; ``None`` where no forecast is possible.
        disk_bytes: of ``experts``, ``synthetic sets`` and ``records``.
        pieces: how many pieces of work there are.
        unknown: how many of them no forecast covers.
    """

    seconds: Mapping[str, Mapping[str, float]]
    too_large: Mapping[str, int]
    peak: Peak | None
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
    too_large: Counter[str] = Counter()
    peaks: list[Peak] = []
    disk = Counter({"experts": 0, "synthetic sets": 0, "records": 0})
    pieces = unknown = 0
    for node in nodes:
        pieces += 1
        answers = [(asked, expectations.answer(asked)) for asked in questions(node, rules)]
        unknown += any(answer is None for _, answer in answers)
        largest = max((answer.peak_bytes for _, answer in answers if answer), default=0)
        too_large.update(_too_small(largest, rules))
        for asked, answer in answers:
            if answer is None:
                continue
            peaks.append(Peak.of(asked, answer.peak_bytes))
            steps = answer.steps if asked.steps is None else asked.steps
            for device, one in answer.seconds.items():
                kinds = seconds.setdefault(device, dict.fromkeys(KINDS.values(), 0.0))
                kinds[KINDS[type(node)]] += steps * one
        disk.update(_disk(node, specs, test_counts))
    return Demand(
        seconds=seconds,
        too_large={device: too_large[device] for device in seconds},
        peak=max(peaks, key=lambda peak: peak.bytes, default=None),
        disk_bytes=dict(disk),
        pieces=pieces,
        unknown=unknown,
    )


def _too_small(peak_bytes: int, rules: ProfileRules) -> list[str]:
    """The devices on which a piece with this peak does not fit."""
    return [
        name
        for name, device in catalogue.devices().items()
        if not capacity.fits(peak_bytes, device, rules.allowances)
    ]


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
