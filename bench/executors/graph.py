"""A run as a graph: expert buffers, then distillations, then students.

Nodes are plain data, so that any executor can send them to where they are done; torch is not
imported here.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.failures import Failed
from bench.files import digest
from bench.planning import Job
from bench.trials import Distillation, Trial

if TYPE_CHECKING:
    from bench.experts import Expert


@dataclass(frozen=True, kw_only=True)
class Node:
    """A piece of work that one worker does at a stretch.

    Attributes:
        key: its address in the graph.
        job: key of the distillation under whose name its progress is shown.
        needs: keys of the nodes that must have ended before.
    """

    key: str
    job: str
    needs: tuple[str, ...] = ()

    @property
    def pieces(self) -> int:
        """How many pieces of work it may be: one, or several done one after the other."""
        return 1


@dataclass(frozen=True, kw_only=True)
class TrainExpert(Node):
    """Train one expert on the data of ``plan``."""

    plan: Distillation
    expert: Expert


@dataclass(frozen=True, kw_only=True)
class Distil(Node):
    """Make one synthetic source and keep it in the store."""

    plan: Distillation


@dataclass(frozen=True, kw_only=True)
class Examine(Node):
    """Train and test students; the only one, or some that may be trained as one program.

    Attributes:
        students: for each the trials that share its outcome.
    """

    students: tuple[tuple[Trial, ...], ...]

    @property
    def pieces(self) -> int:
        """Its students: not all networks can be trained together."""
        return len(self.students)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The trials of all students."""
        return tuple(trial for trials in self.students for trial in trials)


Wanted = Callable[[Trial], Iterable["Expert"]]
"""The experts that a trial's student asks for."""

WantedBy = Callable[[Distillation], Iterable["Expert"]]
"""The experts that a distillation asks for."""


def source_key(plan: Distillation) -> str:
    """The key of the node that makes a synthetic source."""
    return f"source {plan.key}"


def students(job: Job) -> list[Examine]:
    """The different students of a job, in the order of its trials."""
    grouped: dict[str, list[Trial]] = {}
    for trial in job.trials:
        grouped.setdefault(trial.evaluation_key, []).append(trial)
    return [
        Examine(key=f"student {key}", job=job.distillation.key, students=(tuple(members),))
        for key, members in grouped.items()
    ]


def build(jobs: Iterable[Job], for_source: WantedBy, for_student: Wanted) -> list[Node]:
    """Every node of ``jobs`` once, each after those that it needs.

    Args:
        jobs: what is left of a plan.
        for_source: the experts that a distillation asks for.
        for_student: the experts that a student of a trial asks for.
    """
    nodes: dict[str, Node] = {}

    def experts(wanted: Iterable[Expert], plan: Distillation, job: str) -> list[str]:
        keys = []
        for expert in wanted:
            real = [plan.dataset, plan.checksum, plan.preprocessing, plan.split]
            key = f"expert {digest([real, expert.as_dict()])}"
            nodes.setdefault(key, TrainExpert(key=key, job=job, plan=plan, expert=expert))
            keys.append(key)
        return keys

    def source(plan: Distillation, job: str) -> str:
        key = source_key(plan)
        if key not in nodes:
            needs = tuple(experts(for_source(plan), plan, job))
            nodes[key] = Distil(key=key, job=job, needs=needs, plan=plan)
        return key

    for job in jobs:
        for student in students(job):
            trial = student.trials[0]
            needs = experts(for_student(trial), trial.distillation, student.job)
            if trial.budget.kind != "full":  # the whole training set is not stored again
                needs += [source(plan, student.job) for plan in trial.sources]
            nodes[student.key] = replace(student, needs=tuple(needs))
    return list(nodes.values())


def side_by_side(nodes: Sequence[Node]) -> list[Node]:
    """The graph with students that repeat one another in one piece, to be trained as one program.

    They are repetitions with other seeds and learning rates of one method at one budget: what
    they train on comes from distillations that are alike and end at about the same time.

    Args:
        nodes: each after those that it needs.
    """
    alike: dict[Hashable, list[Examine]] = {}
    for node in nodes:
        if isinstance(node, Examine):
            alike.setdefault(_repeated(node.students[0][0]), []).append(node)
    last = {members[-1].key: members for members in alike.values()}
    whole: list[Node] = []
    for node in nodes:
        if not isinstance(node, Examine):
            whole.append(node)
        elif node.key in last:
            whole.append(_joined(last[node.key]))
    return whole


def _repeated(trial: Trial) -> Hashable:
    """Equal for trials that repeat one another."""
    recipe = replace(trial.recipe, lr=1.0, learned_lr=False)
    source = replace(trial.distillation, seed=0)
    first = replace(trial, distillation=source, recipe=recipe, seed=0, track="standard")
    return replace(first, merged_seeds=(0,) * len(trial.merged_seeds)).id


def _joined(members: Sequence[Examine]) -> Examine:
    if len(members) == 1:
        return members[0]
    needs = dict.fromkeys(key for member in members for key in member.needs)
    return Examine(
        key=f"students {digest([member.key for member in members])}",
        job=members[0].job,
        needs=tuple(needs),
        students=tuple(trials for member in members for trials in member.students),
    )


def urgencies(nodes: Sequence[Node], seconds: Mapping[str, float]) -> dict[str, float]:
    """For each node the expected seconds of the longest chain that begins with it.

    Work on long chains first leaves no long piece for the end, when other workers are idle.

    Args:
        nodes: each after those that it needs.
        seconds: expected for a node by key; others are taken to be instant.
    """
    longest: dict[str, float] = defaultdict(float)  # the longest chain that waits for a node
    found: dict[str, float] = {}
    for node in reversed(nodes):
        found[node.key] = seconds.get(node.key, 0.0) + longest[node.key]
        for key in node.needs:
            longest[key] = max(longest[key], found[node.key])
    return found


class Agenda:
    """What of a graph may be begun now, and how what has ended went.

    Args:
        nodes: each after those that it needs.
        seconds: expected for a node by key; the longest chain is begun first, among equals the
            first in order.
    """

    def __init__(self, nodes: Sequence[Node], seconds: Mapping[str, float]) -> None:
        urgent = urgencies(nodes, seconds)
        self._places = {
            node.key: (-urgent[node.key], index, node) for index, node in enumerate(nodes)
        }
        self._missing = {node.key: len(set(node.needs)) for node in nodes}
        self._waiting: dict[str, list[Node]] = defaultdict(list)
        for node in nodes:
            for key in set(node.needs):
                self._waiting[key].append(node)
        self._failures: dict[str, Failed] = {}
        self._ready = [self._places[node.key] for node in nodes if not node.needs]
        heapq.heapify(self._ready)

    def __bool__(self) -> bool:
        """Whether anything may be begun now."""
        return bool(self._ready)

    def take(self) -> Node:
        """The most urgent node that may be begun."""
        return heapq.heappop(self._ready)[2]

    def failures_before(self, node: Node) -> dict[str, Failed]:
        """How what ``node`` needs went wrong, by key; empty if all went well."""
        return {key: self._failures[key] for key in node.needs if key in self._failures}

    def end(self, node: Node, failure: Failed | None = None) -> None:
        """Note that ``node`` has ended; what waited for nothing else may be begun."""
        if failure is not None:
            self._failures[node.key] = failure
        for other in self._waiting.pop(node.key, ()):
            self._missing[other.key] -= 1
            if not self._missing[other.key]:
                heapq.heappush(self._ready, self._places[other.key])
