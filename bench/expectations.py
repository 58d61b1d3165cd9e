"""What pieces of a plan are expected to take on GPUs: one forecast for all that are alike.

Seeds, tracks and students' epochs make no difference to a step, nor does what made a set of images
to the students that train on it. Plans look at a glance (:data:`bench.profiling.looks.GLANCE`):
their sums are within some per cent of a profile's figures. Forecasts are kept in the cache folder
for as long as the code stays what it is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
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
from bench.profiling.looks import GLANCE
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
        maker: list[Any] = [plan.method, dict(plan.parameters)]
        if self.phase == "evaluate" and plan.budget.kind == "ipc":  # images are like any others
            maker = [cards.labels_of(plan.method, plan.parameters) == "hard"]
        where = [self.phase, plan.dataset, self.network, plan.budget.as_dict()]
        code = [package_version(), commit()]
        return digest([where, maker, _hash_of(self.rules), _how(), code])


@cache
def _hash_of(rules: ProfileRules) -> str:
    return rules_hash(rules)


@cache
def _how() -> str:
    """What decides every forecast alike: how closely is looked, and the devices."""
    catalogue = {name: device.model_dump(mode="json") for name, device in devices().items()}
    return digest([asdict(GLANCE), catalogue])


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
    # a step costs the same at every learning rate and in every epoch
    recipe = replace(trial.recipe, epochs=1, lr=1.0, learned_lr=False, schedule="constant")
    return [
        Question(
            phase="evaluate",
            plan=trial.distillation,
            network=trial.architecture,
            rules=replace(rules, recipe=recipe),
            steps=trial.recipe.epochs,
        )
    ]


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
        if not self._recalls(key):
            self.learn(key, self.forecast(question))
        return self._known[key]

    def open(self, asked: Iterable[Question]) -> list[Question]:
        """Of ``asked`` those that have no answer yet, one of each kind."""
        kinds = {question.key: question for question in asked}
        return [question for key, question in kinds.items() if not self._recalls(key)]

    def learn(self, key: str, answer: Expected | None) -> None:
        """Take up the answer to the questions with this key; keep it if there is one."""
        self._known[key] = answer
        if self._kept is not None and answer is not None:
            write_text(self._kept / f"{key}.json", canonical_json(asdict(answer)))

    def _recalls(self, key: str) -> bool:
        """Whether an answer is known or kept; a damaged one is not."""
        if key in self._known or self._kept is None:
            return key in self._known
        try:
            self._known[key] = _parse(read_json(self._kept / f"{key}.json"))
        except (BadFile, KeyError, TypeError, ValueError, AttributeError):
            return False
        return True

    def forecast(self, question: Question) -> Expected | None:
        """Make a forecast, whatever is known."""
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
            found = forecast(subject, question.phase, look=GLANCE)
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
