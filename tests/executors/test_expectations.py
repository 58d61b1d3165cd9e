"""What is expected of a plan: one forecast for all that are alike, kept while the code stands."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import answers as making
from bench import cards, expectations, networks, plugins
from bench.cli.forecast import Left, show
from bench.demand import RECORD_BYTES, demand
from bench.estimates import Seconds
from bench.executors.dispatch import expected
from bench.executors.graph import Distil, Examine, Node, TrainExpert, build
from bench.executors.wanted import for_sources, for_student
from bench.expectations import Expectations, Expected, Question, questions
from bench.experts import Expert
from bench.planning import jobs
from bench.profiling.catalogue import devices
from bench.profiling.forecast import Forecast
from bench.profiling.ledger import BLOCK_BYTES, DEVICE, Ledger
from bench.profiling.looks import GLANCE, Look
from bench.profiling.phases import own_preparation
from bench.profiling.rules import load_rules
from bench.profiling.stand_ins import open_task
from bench.profiling.subject import Subject
from bench.recipes import Recipe
from bench.specs import Budget
from bench.store import Store
from bench.trials import Trial
from tests.fakes import SPEC
from tests.test_planning import TRIAL

RULES = load_rules("efficiency", "quick")
REFERENCES = {"tiny": "tiny"}
TESTS = {"tiny": 60}
EXPERT = Expert("convnet-d1-w8", Recipe(epochs=7), 3)


def of(method: str, **changes: Any) -> Trial:
    plan = replace(TRIAL.distillation, method=method, dataset="tiny", budget=Budget("ipc", 2))
    return replace(TRIAL, distillation=replace(plan, parameters=changes))


def graph(trials: Sequence[Trial], experts: Sequence[Expert] = ()) -> list[Node]:
    return build(jobs(trials), lambda plan: experts, lambda trial: ())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, registered: None, tmp_path: Path) -> list[str]:
    """The phases that forecasts were made of; none is known from before."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    found: list[str] = []

    def forecast(subject: Subject, phase: Any, *, look: Look) -> Forecast:
        assert look is GLANCE
        found.append(phase)
        return Forecast(peak_bytes=1000 * len(found), work={}, steps=5, walks=False)

    monkeypatch.setattr(expectations, "forecast", forecast)
    return found


def on_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, commit: str) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(expectations, "commit", lambda: commit)


def phases(nodes: Sequence[Node]) -> list[str]:
    return [question.phase for node in nodes for question in questions(node, RULES)]


@pytest.mark.usefixtures("registered")
def test_a_distillation_without_announced_experts_prepares_by_itself() -> None:
    assert phases(graph([of("walk")])) == ["prepare", "distill", "evaluate"]
    assert phases(graph([of("walk")], [EXPERT])) == ["prepare", "distill", "evaluate"]
    alone = [question.steps for question in questions(graph([of("walk")], [EXPERT])[0], RULES)]
    assert alone == [7]  # an epoch a step


def test_what_is_alike_is_forecast_once(asked: list[str]) -> None:
    known = Expectations(REFERENCES)
    trials = [replace(t, seed=seed) for t in (of("walk"), of("slow")) for seed in (0, 1)]
    for node in graph(trials):
        for question in questions(node, RULES):
            known.answer(question)
    # two methods prepare and distil, but their students train on sets of one shape
    assert sorted(asked) == ["distill", "distill", "evaluate", "prepare", "prepare"]


def test_students_are_alike_whatever_made_their_images_and_however_long_they_train(
    asked: list[str],
) -> None:
    known = Expectations(REFERENCES)
    short, long = (replace(TRIAL.recipe, epochs=epochs) for epochs in (3, 7))
    trials = [replace(of("walk"), recipe=short), replace(of("slow"), recipe=long)]
    students = [node for node in graph(trials) if isinstance(node, Examine)]
    found = [questions(student, RULES)[0] for student in students]
    assert [question.steps for question in found] == [3, 7]
    assert len(known.open(found)) == 1
    answers = [known.answer(question) for question in found]
    assert asked == ["evaluate"]
    assert answers[0] is answers[1] is not None


def test_open_questions_are_those_without_an_answer_one_of_each_kind(asked: list[str]) -> None:
    known = Expectations(REFERENCES)
    every = [one for node in graph([of("walk"), of("slow")]) for one in questions(node, RULES)]
    left = known.open([*every, *every])
    assert len({question.key for question in left}) == len(left) == 5
    for question in left:
        known.learn(question.key, known.forecast(question))
    assert known.open(every) == []


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
def test_processes_answer_as_one_process_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "PROCESSES_PAY", 2)
    asked = Expectations(REFERENCES).open(
        one for node in graph([of("walk")]) for one in questions(node, RULES)
    )
    alone, together = (dict(making.answers(asked, REFERENCES, None, workers)) for workers in (1, 2))
    assert alone == together
    assert len(alone) == 3
    assert any(alone.values())


def at_once_or_never(question: SimpleNamespace, references: object, data_root: object) -> None:
    """A forecast that is made at once or takes an hour."""
    if question.key != "quick":
        time.sleep(3600)


def nothing() -> None:
    """What a process has to do before it makes such a forecast."""


def test_forecasts_at_work_end_when_nobody_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "PROCESSES_PAY", 2)
    monkeypatch.setattr(making, "_forecast", at_once_or_never)
    monkeypatch.setattr(making, "_begin", nothing)
    monkeypatch.setattr(making, "_longest_first", lambda asked, *_: asked)
    others = multiprocessing.active_children()
    asked: Any = [SimpleNamespace(key="quick"), SimpleNamespace(key="slow")]
    found = making.answers(asked, {}, None, 2)
    assert next(found) == ("quick", None)
    at_work = [one for one in multiprocessing.active_children() if one not in others]
    assert at_work
    found.close()
    patience = time.monotonic() + 30
    while any(process.is_alive() for process in at_work):
        assert time.monotonic() < patience
        time.sleep(0.05)


def test_forecasts_are_kept_for_a_commit(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (question,) = questions(graph([of("walk")])[1], RULES)
    on_commit(monkeypatch, tmp_path, "abc")
    first = Expectations(REFERENCES).answer(question)
    assert first == Expectations(REFERENCES).answer(question)
    assert len(asked) == 1
    (note,) = (tmp_path / "forecasts").iterdir()
    note.write_text('{"peak_bytes": "many"}')
    Expectations(REFERENCES).answer(question)
    assert len(asked) == 2
    assert json.loads(note.read_text())["peak_bytes"] == 2000
    on_commit(monkeypatch, tmp_path, "def")
    Expectations(REFERENCES).answer(question)
    assert len(asked) == 3
    on_commit(monkeypatch, tmp_path, "def-dirty")
    Expectations(REFERENCES).answer(question)
    assert len(asked) == 4
    assert len(list((tmp_path / "forecasts").iterdir())) == 2


@pytest.mark.usefixtures("registered")
def test_a_method_with_a_fault_has_no_forecast() -> None:
    (_, distill), _ = (questions(node, RULES) for node in graph([of("raises")]))
    assert Expectations(REFERENCES).answer(distill) is None


class Said(Expectations):
    """Expectations that say one second a step and three steps, but nothing of ``slow``."""

    def answer(self, question: Question) -> Expected | None:
        if question.plan.method == "slow" and question.phase == "distill":
            return None
        return Expected(peak_bytes=1, steps=3, seconds={"t4": 1.0, "h100": 0.5})


@pytest.mark.usefixtures("registered")
def test_what_a_plan_asks_for_is_the_sum_of_its_pieces() -> None:
    nodes = graph([of("walk"), of("slow")], [EXPERT, replace(EXPERT, index=4)])
    assert [type(node) for node in nodes] == [TrainExpert] * 2 + [Distil, Examine] * 2
    found = demand(nodes, Said(REFERENCES), RULES, {"tiny": SPEC}, TESTS)
    epochs = TRIAL.recipe.epochs
    assert found.seconds["t4"] == {"experts": 2 * 7.0, "distil": 3.0, "evaluate": 2.0 * epochs}
    assert found.seconds["h100"] == {"experts": 7.0, "distil": 1.5, "evaluate": 1.0 * epochs}
    assert (found.pieces, found.unknown) == (6, 1)
    assert found.too_large == {"t4": 0, "h100": 0}
    parameters = networks.count_parameters(EXPERT.network, SPEC)
    assert found.disk_bytes == {
        "experts": 2 * 8 * 4 * parameters,
        "synthetic sets": 2 * 6 * (64 * 4 + 8),
        "records": 2 * (RECORD_BYTES + 10),
    }


class Large(Expectations):
    """Expectations that a distillation takes 46 GiB."""

    def answer(self, question: Question) -> Expected:
        peak = 46 * 2**30 if question.phase == "distill" else 2**20
        return Expected(peak_bytes=peak, steps=3, seconds=dict.fromkeys(devices(), 1.0))


@pytest.mark.usefixtures("registered")
def test_pieces_that_do_not_fit_are_counted_and_the_largest_is_named() -> None:
    found = demand(graph([of("walk"), of("slow")]), Large(REFERENCES), RULES, {"tiny": SPEC}, TESTS)
    roomy = {name for name, device in devices().items() if device.memory_gib.value > 49}
    assert {"rtx4090", "t4"}.isdisjoint(roomy)
    assert "h100" in roomy
    assert found.too_large == {name: 0 if name in roomy else 2 for name in devices()}
    assert found.peak is not None
    assert (found.peak.bytes, found.peak.phase) == (46 * 2**30, "distill")
    assert (found.peak.method, found.peak.dataset, found.peak.budget) == ("walk", "tiny", "ipc 2")


@pytest.mark.usefixtures("registered")
def test_a_plan_says_what_does_not_fit_and_how_to_find_what_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = demand(graph([of("walk")]), Large(REFERENCES), RULES, {"tiny": SPEC}, TESTS)
    plan: Any = SimpleNamespace(rules=RULES, trials=(), done={})
    show(plan, {}, "CPU Testium 9", found)
    said = " ".join(capsys.readouterr().out.split())
    assert "The largest piece takes 46.0 GiB: distill of walk on tiny, ipc 2, " in said
    assert "`bench profile --method walk --dataset tiny --budget 2 --forecast rtx4090," in said
    assert "h100" not in said.partition("--forecast")[2]


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        ((), "Times are from steps measured here"),
        (("CPU A",), "equal work on record, of CPU A; else from steps"),
        (("CPU A", "CPU B"), "of CPU A and CPU B, scaled by the speed of one kernel; else"),
        (("CPU B",), "of CPU B, scaled by the speed of one kernel; else"),
    ],
)
@pytest.mark.usefixtures("registered")
def test_a_plan_names_its_device_and_those_that_its_times_are_of(
    devices: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = {
        ("tiny", "ipc 1", name): Left(distill=Seconds(0.5, 0, frozenset([name])))
        for name in devices
    }
    show(SimpleNamespace(rules=RULES, trials=(), done={}), cells, "CPU A")  # type: ignore[arg-type]
    printed = " ".join(capsys.readouterr().out.split())
    assert "times for CPU A" in printed
    assert said in printed


class Measured:
    """Times of work: one second a student; the second source was never measured."""

    def source(self, plan: Any) -> Seconds:
        return Seconds(unknown=1) if plan.seed else Seconds(9.0)

    def student(self, trial: Trial) -> Seconds:
        return Seconds(1.0)


def test_work_that_was_never_measured_counts_as_the_longest() -> None:
    plan = TRIAL.distillation
    nodes = graph([TRIAL, replace(TRIAL, distillation=replace(plan, seed=1))])
    seconds = expected(nodes, Measured())  # type: ignore[arg-type]
    assert [seconds[node.key] for node in nodes] == [9.0, 1.0, 9.0, 1.0]
    assert expected(nodes, None) == {}


@pytest.mark.parametrize("method", plugins.names("methods"))
def test_methods_announce_the_experts_that_they_ask_for(method: str, store: Store) -> None:
    subject = Subject.of(RULES, method)
    plan = replace(
        TRIAL.distillation,
        method=method,
        parameters=subject.parameters,
        dataset=subject.spec.name,
        budget=subject.budget,
        network=subject.network,
        seed=0,
    )
    announced = list(for_sources(store, fresh=False)(plan))
    with Ledger(BLOCK_BYTES):
        needed = own_preparation(subject, open_task(subject, DEVICE))
    if announced or method in ("mtt", "apm", "herding"):
        assert announced == needed
    store.remember(plan.key, {})
    assert list(for_sources(store, fresh=False)(plan)) == []
    assert list(for_sources(store, fresh=True)(plan)) == announced


def test_label_robust_announces_the_teacher_of_the_labels() -> None:
    trial = replace(TRIAL, protocol="label-robust", tier="quick")
    assert list(for_student(trial)) == []
    labelled = replace(trial, recipe=replace(trial.recipe, labels="teacher"))
    (teacher,) = for_student(labelled)
    assert teacher.network == trial.architecture


def test_an_adapter_that_refuses_its_parameters_announces_nothing(store: Store) -> None:
    parameters = dict(cards.resolve("mtt", "quick", "digits", Budget("ipc", 1), {}).parameters)
    parameters["teacher_epochs"] = 1  # segments reach beyond
    plan = replace(TRIAL.distillation, method="mtt", parameters=parameters)
    assert list(for_sources(store, fresh=False)(plan)) == []
