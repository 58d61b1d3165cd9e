"""What pieces of a plan are expected to take on GPUs: one forecast for all that are alike.

A forecast takes up to minutes, so they are kept in the cache folder for as long as the code stays
what it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench import cards, datasets
from bench.datasets.locations import cache_folder
from bench.environment import commit, package_version
from bench.errors import BadFile
from bench.executors.graph import Distil, Examine, Node, TrainExpert
from bench.files import canonical_json, digest, read_json, write_text
from bench.planning import rules_hash
from bench.profiling import roofline
from bench.profiling.catalogue import devices
from bench.profiling.forecast import forecast
from bench.profiling.records import Phase
from bench.profiling.rules import ProfileRules
from bench.profiling.subject import Subject
from bench.trials import Distillation

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a forecast says.

    Attributes:
        peak_bytes: of tensors on the device.
        steps: of the whole phase.
        seconds: of one step, for each device of the catalogue.
    """

    peak_bytes: int
    steps: int
    seconds: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A phase to be forecast.

    Attributes:
        phase: which.
        plan: of which distillation; its seed does not matter.
        network: what distils, or the student.
        rules: what forecasts are made by, with the student's recipe.
        steps: how many count; ``None`` for as many as the phase has.
    """

    phase: Phase
    plan: Distillation
    network: str
    rules: ProfileRules
    steps: int | None = None

    @property
    def key(self) -> str:
        """Address of the forecast: everything that decides it."""
        plan = self.plan
        catalogue = {name: device.model_dump(mode="json") for name, device in devices().items()}
        what = [self.phase, plan.method, dict(plan.parameters), plan.dataset, self.network]
        code = [package_version(), commit()]
        return digest([*what, plan.budget.as_dict(), rules_hash(self.rules), catalogue, code])


def questions(node: Node, rules: ProfileRules) -> list[Question]:
    """The phases that a node consists of."""
    if isinstance(node, TrainExpert):
        plan, expert = node.plan, node.expert
        network, epochs = plan.network, expert.recipe.epochs
        # a step of a preparation is an epoch of an expert where the method has any
        return [Question(phase="prepare", plan=plan, network=network, rules=rules, steps=epochs)]
    if isinstance(node, Distil):
        phases: tuple[Phase, ...] = ("distill",) if node.needs else ("prepare", "distill")
        plan = node.plan
        return [Question(phase=p, plan=plan, network=plan.network, rules=rules) for p in phases]
    assert isinstance(node, Examine)
    trial = node.trials[0]
    plan = trial.distillation
    if plan.budget.kind == "ipc" and cards.card(plan.method).labels == "hard":
        plan = replace(plan, method="random", parameters={})  # any set of images is like another
    rules = replace(rules, recipe=trial.recipe)
    return [Question(phase="evaluate", plan=plan, network=trial.architecture, rules=rules)]


class Expectations:
    """Answers questions, each once.

    Args:
        references: for each dataset the text that finds it.
        data_root: where real data lie.
    """

    def __init__(self, references: Mapping[str, str], data_root: Path | None = None) -> None:
        self._references = references
        self._data_root = data_root
        self._known: dict[str, Expected | None] = {}
        # a checkout that is being worked on changes under one name
        self._kept = None if commit().endswith("-dirty") else cache_folder() / "forecasts"

    def answer(self, question: Question) -> Expected | None:
        """What is expected; ``None`` where no forecast is possible."""
        key = question.key
        if key not in self._known:
            self._known[key] = self._recall(key) or self._forecast(question)
            if self._kept is not None:
                note = self._known[key]
                write_text(self._kept / f"{key}.json", canonical_json(note and asdict(note)))
        return self._known[key]

    def _recall(self, key: str) -> Expected | None:
        """A kept forecast; a damaged one is made again."""
        if self._kept is None:
            return None
        try:
            return _parse(read_json(self._kept / f"{key}.json"))
        except (BadFile, KeyError, TypeError, ValueError, AttributeError):
            return None

    def _forecast(self, question: Question) -> Expected | None:
        plan = question.plan
        reference = self._references[plan.dataset]
        count = datasets.facts(reference, data_root=self._data_root).train_count
        if count is None:  # a dataset of the user's own that has never been read
            return None
        subject = Subject(
            rules=question.rules,
            method=plan.method,
            spec=datasets.describe(reference, data_root=self._data_root),
            train_count=count,
            budget=plan.budget,
            network=question.network,
            changes=dict(plan.parameters),
        )
        try:
            found = forecast(subject, question.phase)
        except Exception as error:  # it shows when the work is done, and is recorded there
            log.debug("No forecast of %s: %r", question, error)
            return None
        allowances = question.rules.allowances
        seconds = {
            name: roofline.expected(device, allowances).seconds(found.work)
            for name, device in devices().items()
        }
        return Expected(peak_bytes=found.peak_bytes, steps=found.steps, seconds=seconds)


def _parse(note: Any) -> Expected:
    return Expected(
        peak_bytes=int(note["peak_bytes"]),
        steps=int(note["steps"]),
        seconds={str(name): float(value) for name, value in note["seconds"].items()},
    )


def peak_bytes(answers: Sequence[Expected | None]) -> int | None:
    """The largest peak of a node's phases; ``None`` if one of them is not known."""
    peaks = [answer.peak_bytes for answer in answers if answer is not None]
    return max(peaks) if len(peaks) == len(answers) else None
