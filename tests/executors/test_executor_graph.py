"""The graph of a run: what waits for what, what is begun first, and whom a failure reaches."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bench.executors.graph import (
    Agenda,
    Distil,
    Examine,
    Node,
    TrainExpert,
    build,
    side_by_side,
    urgencies,
)
from bench.experts import Expert
from bench.failures import Failed
from bench.planning import Job, jobs
from bench.recipes import Recipe
from bench.specs import Budget
from bench.trials import Trial
from tests.test_planning import TRIAL

EXPERT = Expert("mlp", Recipe(epochs=1), 0)


def pool(count: int) -> list[Expert]:
    return [replace(EXPERT, index=index) for index in range(count)]


def graph(
    work: Iterable[Job], experts: Iterable[Expert] = (), teachers: Iterable[Expert] = ()
) -> list[Node]:
    return build(work, lambda plan: experts, lambda trial: teachers)


def seeds(count: int) -> list[Trial]:
    plan = TRIAL.distillation
    return [
        replace(TRIAL, distillation=replace(plan, seed=seed), seed=seed) for seed in range(count)
    ]


def kinds(nodes: Iterable[Node]) -> list[type[Node]]:
    return [type(node) for node in nodes]


def test_experts_come_before_distillations_and_these_before_students() -> None:
    nodes = graph(jobs(seeds(2)), pool(3))
    assert kinds(nodes) == [TrainExpert] * 3 + [Distil, Examine, Distil, Examine]
    experts = tuple(node.key for node in nodes[:3])
    for source, student in (nodes[3:5], nodes[5:7]):
        assert source.needs == experts
        assert student.needs == (source.key,)


def test_an_expert_of_other_data_is_another_expert() -> None:
    plan = TRIAL.distillation
    held_out = replace(TRIAL, distillation=replace(plan, split="validation"))
    nodes = graph(jobs([TRIAL, held_out]), pool(1))
    assert kinds(nodes).count(TrainExpert) == 2


def test_trials_of_one_training_are_one_student() -> None:
    native = replace(TRIAL, track="native")
    other = replace(TRIAL, recipe=replace(TRIAL.recipe, epochs=TRIAL.recipe.epochs + 1))
    nodes = graph(jobs([TRIAL, native, other]))
    students = [node for node in nodes if isinstance(node, Examine)]
    assert [student.trials for student in students] == [(TRIAL, native), (other,)]


def test_a_student_of_several_sets_waits_for_all_and_none_is_made_twice() -> None:
    first, second = seeds(2)
    nodes = graph(jobs([first, second, replace(first, merged_seeds=(1,))]))
    sources = [node for node in nodes if isinstance(node, Distil)]
    assert [node.plan.seed for node in sources] == [0, 1]
    (merged,) = [n for n in nodes if isinstance(n, Examine) and n.trials[0].merged_seeds]
    assert set(merged.needs) == {node.key for node in sources}


def test_a_student_waits_for_the_teacher_that_its_protocol_announces() -> None:
    teacher, source, student = graph(jobs([TRIAL]), teachers=pool(1))
    assert isinstance(teacher, TrainExpert)
    assert set(student.needs) == {teacher.key, source.key}


def test_the_whole_training_set_is_not_distilled_beforehand() -> None:
    full = replace(TRIAL.distillation, budget=Budget("full", 0))
    assert kinds(graph(jobs([replace(TRIAL, distillation=full)]))) == [Examine]


def nodes_of(edges: dict[str, tuple[str, ...]]) -> list[Node]:
    return [Node(key=key, job="job", needs=needs) for key, needs in edges.items()]


def test_the_longest_chain_is_the_most_urgent() -> None:
    nodes = nodes_of({"a": (), "b": ("a",), "c": ("b", "a"), "d": ()})
    found = urgencies(nodes, {"a": 1.0, "b": 2.0, "c": 4.0, "d": 6.0})
    assert found == {"a": 7.0, "b": 6.0, "c": 4.0, "d": 6.0}


def test_the_longest_chain_is_begun_first_and_among_equals_the_first() -> None:
    nodes = nodes_of({"short": (), "long": (), "equal": (), "after": ("short",)})
    agenda = Agenda(nodes, {"short": 1.0, "long": 5.0, "equal": 5.0, "after": 2.0})
    assert [agenda.take().key for _ in range(3)] == ["long", "equal", "short"]
    assert not agenda
    agenda.end(nodes[0])
    assert agenda.take().key == "after"


def test_repetitions_are_one_piece_and_nothing_else_is() -> None:
    repeated = seeds(3)
    others = [
        replace(repeated[0], track="native", recipe=replace(TRIAL.recipe, lr=0.5)),
        replace(repeated[1], recipe=replace(TRIAL.recipe, epochs=TRIAL.recipe.epochs + 1)),
        replace(repeated[2], architecture="mlp"),
    ]
    alone = graph(jobs([*repeated, *others]), pool(2))
    nodes = side_by_side(alone)
    pieces = [node for node in nodes if isinstance(node, Examine)]
    found = {frozenset(trial.id for trial in node.trials) for node in pieces}
    rate, epochs, architecture = others
    together = [*repeated, rate]
    assert found == {
        frozenset(t.id for t in members) for members in (together, [epochs], [architecture])
    }
    assert [node for node in nodes if not isinstance(node, Examine)] == [
        node for node in alone if not isinstance(node, Examine)
    ]
    for place, node in enumerate(nodes):
        assert set(node.needs) <= {before.key for before in nodes[:place]}
    (whole,) = [node for node in pieces if len(node.students) > 1]
    sources = [node.key for node in nodes if isinstance(node, Distil)]
    assert set(whole.needs) == set(sources)


def test_a_failure_reaches_what_needs_it_and_nothing_else() -> None:
    nodes = nodes_of({"a": (), "b": (), "of a": ("a",), "of both": ("b", "a"), "of b": ("b",)})
    agenda = Agenda(nodes, {})
    failure = Failed("diverged", "loss became nan")
    for failed in (failure, None):
        agenda.end(agenda.take(), failed)
    reached = {node.key: agenda.failures_before(node) for node in nodes[2:]}
    assert reached == {"of a": {"a": failure}, "of both": {"a": failure}, "of b": {}}


@given(st.data())
def test_every_node_is_begun_once_and_after_what_it_needs(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    edges: dict[str, tuple[str, ...]] = {}
    for index in range(count):
        before = st.lists(st.sampled_from(sorted(edges)), max_size=3) if edges else st.just([])
        edges[str(index)] = tuple(data.draw(before))
    nodes = nodes_of(edges)
    agenda = Agenda(nodes, {key: data.draw(st.floats(0, 9)) for key in edges})
    begun: list[Node] = []
    ended: set[str] = set()
    at_work: list[Node] = []
    while agenda or at_work:
        if agenda and (not at_work or data.draw(st.booleans())):
            node = agenda.take()
            assert set(node.needs) <= ended
            begun.append(node)
            at_work.append(node)
        else:
            node = at_work.pop(data.draw(st.integers(0, len(at_work) - 1)))
            ended.add(node.key)
            agenda.end(node)
    assert sorted(node.key for node in begun) == sorted(edges)


def test_a_failure_survives_the_way_between_processes() -> None:
    back = pickle.loads(pickle.dumps(Failed("oom", "no memory")))
    assert (back.status, back.reason) == ("oom", "no memory")
