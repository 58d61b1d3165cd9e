"""What a run shows: a line for every different cell, studies, and how far it has come."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console, Group
from rich.table import Table

from bench import runner
from bench.cli import outcome, progress
from bench.cli.progress import Display
from bench.cli.pulse import Pulse
from bench.planning import jobs
from bench.recipes import Recipe
from bench.records import Record
from bench.runner import Options, Plan
from bench.specs import Budget
from bench.studies import CUT, Column, Study, mishaps
from bench.trials import Trial
from bench.worker import Finished, Progress
from tests.records import ENVIRONMENT, record_of
from tests.test_planning import GRID, TRIAL


def scored(trial: Trial, accuracy: float = 0.5) -> Record:
    return record_of(trial, accuracy)


@pytest.fixture
def plan(tmp_path: Any) -> Plan:
    """Of a protocol that has no studies of its own."""
    return runner.plan(Options(protocol="ipc-grid", store=tmp_path, seeds=1, methods=("random",)))


def first_table(plan: Plan, records: Sequence[Record]) -> Table:
    table = outcome.tables(plan, records)[0]
    assert isinstance(table, Table)
    return table


def printed(plan: Plan, records: Sequence[Record]) -> list[list[str]]:
    """The cells of the first table, row by row."""
    table = first_table(plan, records)
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def heads(plan: Plan, records: Sequence[Record]) -> list[str]:
    return [str(column.header) for column in first_table(plan, records).columns]


USUAL = ["dataset", "budget", "method", "track", "accuracy %", "95 % interval", "n"]


def test_seeds_of_a_cell_are_one_line_with_the_usual_columns(plan: Plan) -> None:
    records = [scored(replace(TRIAL, seed=0), 0.4), scored(replace(TRIAL, seed=1), 0.6)]
    assert heads(plan, records) == USUAL
    ((*where, figures, _, n),) = printed(plan, records)
    assert where == ["tiny", "ipc 1", "dm", "standard"]
    assert (figures, n) == ("50.0 ± 10.0", "2")


@pytest.mark.parametrize(
    ("other", "head", "told"),
    [
        (replace(TRIAL, architecture="mlp"), "student", {"mlp", "convnet-d2"}),
        (
            replace(TRIAL, distillation=replace(TRIAL.distillation, network="mlp")),
            "distilled with",
            {"mlp", "convnet-d2"},
        ),
        (replace(TRIAL, merged_seeds=(100, 200)), "sets merged", {"1", "3"}),
        (
            replace(TRIAL, recipe=Recipe(epochs=10, labels="hard")),
            "recipe",
            {"", "labels hard"},
        ),
        (
            replace(TRIAL, recipe=Recipe(epochs=10, augmentation="none")),
            "recipe",
            {"augmentation none", "augmentation dsa"},
        ),
        (
            replace(TRIAL, distillation=replace(TRIAL.distillation, checksum="f" * 64)),
            "checksum",
            {"abc", "f" * 8},
        ),
    ],
)
def test_cells_that_differ_in_anything_are_told_apart(
    plan: Plan, other: Trial, head: str, told: set[str]
) -> None:
    records = [scored(TRIAL), scored(other)]
    place = heads(plan, records).index(head)
    assert {row[place] for row in printed(plan, records)} == told


def test_a_generator_that_serves_another_budget_is_told(plan: Plan) -> None:
    source = replace(TRIAL.distillation, budget=Budget("inpc", 1))
    own = replace(TRIAL, distillation=source)
    records = [scored(own), scored(replace(own, deployed=Budget("inpc", 50)))]
    assert [row[1] for row in printed(plan, records)] == ["inpc 1", "inpc 50"]


def test_budgets_are_in_the_order_of_numbers(plan: Plan) -> None:
    records = [
        scored(replace(TRIAL, distillation=replace(TRIAL.distillation, budget=Budget("ipc", n))))
        for n in (10, 2, 1)
    ]
    assert [row[1] for row in printed(plan, records)] == ["ipc 1", "ipc 2", "ipc 10"]


def test_nothing_yet_is_an_empty_table(plan: Plan) -> None:
    assert printed(plan, []) == []


def test_a_trial_that_failed_keeps_its_line(plan: Plan) -> None:
    ((*_, figures, _, n),) = printed(plan, [record_of(TRIAL, status="failed")])
    assert (figures, n) == ("-", "0")


class _Rules:
    """A protocol with a study that names how many records it was made of."""

    name, version, tier = "counting", 1, "quick"

    def studies(self, records: Sequence[Record]) -> list[Study]:
        notes = (f"{len(records)} records of [red]{records[0].dataset.checksum}",)
        columns = (Column(name="[red]N"),)
        return [Study(title="[red]Count", columns=columns, rows=(("[red]1",),), notes=notes)]


@pytest.fixture
def counting(plan: Plan) -> Plan:
    rules: Any = _Rules()
    return replace(plan, rules=rules)


def test_studies_are_made_for_each_dataset_as_it_was_read(counting: Plan) -> None:
    other = replace(TRIAL, distillation=replace(TRIAL.distillation, checksum="def"))
    records = [scored(TRIAL), scored(other), scored(replace(TRIAL, seed=1))]
    notes = [study.notes[0] for study in outcome.studies(counting, records)]
    assert notes == ["2 records of [red]abc", "1 records of [red]def"]
    assert [study["notes"] for study in outcome.as_dict(counting, records, 3)["studies"]] == [
        [note] for note in notes
    ]


def test_no_text_of_a_study_is_taken_for_markup(counting: Plan) -> None:
    written = io.StringIO()
    Console(file=written, width=80).print(Group(*outcome.interim(counting, [scored(TRIAL)])))
    for said in ("[red]Count", "[red]N", "[red]1", "1 records of [red]abc"):
        assert said in written.getvalue()


def test_a_very_long_list_of_cells_gives_way_to_the_studies(
    plan: Plan, counting: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "MOST_CELLS", 1)
    records = [scored(TRIAL), scored(replace(TRIAL, architecture="mlp"))]
    assert heads(counting, records) == ["\\[red]N"]
    assert heads(counting, records[:1]) == USUAL
    assert len(printed(plan, records)) == 2


def test_a_single_result_has_no_deviation(plan: Plan) -> None:
    ((*_, figures, interval, n),) = printed(plan, [scored(TRIAL, 0.909)])
    assert (figures, interval, n) == ("90.9", "", "1")


def test_an_interval_beyond_what_accuracies_can_be_is_cut_and_told(plan: Plan) -> None:
    records = [scored(TRIAL, 0.1), scored(replace(TRIAL, seed=1), 0.9)]
    ((*_, interval, _),) = printed(plan, records)
    assert interval == "[0.0, 100.0]"
    assert [str(part) for part in outcome.tables(plan, records)[1:]] == [CUT]
    assert len(outcome.tables(plan, records[:1])) == 1


def shown(plan: Plan, records: Sequence[Record], ran: int, capsys: Any) -> list[str]:
    outcome.show(plan, records, ran)
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("commit", "words"),
    [
        ("c" * 40, ""),
        ("c" * 40 + "-dirty", "1 of 2 records cannot be published: their code had uncommitted"),
        ("", "1 of 2 records cannot be published: their installation knows no commit; `pip in"),
    ],
)
def test_records_that_cannot_be_published_are_told_with_the_reason(commit: str, words: str) -> None:
    ran = ENVIRONMENT.model_copy(update={"commit": commit})
    told = outcome.unpublishable([scored(TRIAL), record_of(TRIAL, 0.5, environment=ran)])
    assert told.startswith(words)
    assert bool(told) == bool(words)
    chosen = replace(TRIAL, distillation=replace(TRIAL.distillation, split="validation"))
    assert outcome.unpublishable([record_of(chosen, 0.5, environment=ran)]) == ""


def test_what_went_wrong_is_told_below_the_table_and_counted(plan: Plan, capsys: Any) -> None:
    diverged = record_of(TRIAL, status="diverged", reason="the loss is [NaN]")
    declined = record_of(replace(TRIAL, seed=1), status="skipped", reason="too small")
    lines = shown(plan, [scored(replace(TRIAL, seed=2)), diverged, declined], 0, capsys)
    assert "dm: 1 × diverged, the loss is [NaN]." in lines
    assert "dm: 1 × skipped, too small." in lines
    assert "1 of 3 trials went wrong." in lines[-1]
    assert outcome.as_dict(plan, [diverged], 0)["mishaps"] == [
        "dm: 1 × diverged, the loss is [NaN]."
    ]


def test_what_a_study_says_of_mishaps_is_not_said_twice(counting: Plan, capsys: Any) -> None:
    class Rules(_Rules):
        def studies(self, records: Sequence[Record]) -> list[Study]:
            (study,) = super().studies(records)
            return [replace(study, notes=mishaps(records))]

    rules: Any = Rules()
    diverged = record_of(TRIAL, status="diverged", reason="NaN")
    lines = shown(replace(counting, rules=rules), [diverged], 1, capsys)
    assert lines.count("dm: 1 × diverged, NaN.") == 1


@pytest.mark.parametrize(
    ("ran", "sentence"),
    [
        (0, "Nothing was left to do; 0 were recorded before."),
        (1, "1 trial run now; 0 were recorded before."),
        (2, "2 trials run now; 0 were recorded before."),
    ],
)
def test_the_last_line_counts_as_people_do(
    plan: Plan, ran: int, sentence: str, capsys: Any
) -> None:
    assert shown(plan, [scored(TRIAL)], ran, capsys)[-1].startswith(sentence)


# while it runs


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a display writes to a stderr that is no terminal."""
    written = io.StringIO()
    monkeypatch.setattr(progress, "console", lambda stderr: Console(file=written, width=120))
    monkeypatch.setattr(progress, "CALM_SECONDS", 0.0)
    return written


def finish(display: Display, trials: Sequence[Trial]) -> None:
    for trial in trials:
        display(Finished(job=trial.distillation.key, record=scored(trial), correct=None))


def display_of(trials: Sequence[Trial]) -> Display:
    return Display(tuple(jobs(trials)), {}, lambda new: f"tables of {len(new)}")


def test_tables_come_when_a_method_is_done_but_not_at_the_end(lines: io.StringIO) -> None:
    with display_of(GRID) as display:  # four trials of dm, then four of dc
        finish(display, GRID[:3])
        assert "tables" not in lines.getvalue()
        finish(display, GRID[3:4])
        assert "tables of 4" in lines.getvalue()
        finish(display, GRID[4:])
    assert lines.getvalue().count("tables") == 1


def test_tables_come_now_and_then_where_no_bar_moves(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "INTERIM_SECONDS", 0.0)
    with display_of(GRID) as display:
        finish(display, GRID[:2])
    assert "tables of 1" in lines.getvalue()


def interrupt_after(trials: Sequence[Trial]) -> None:
    with display_of(GRID) as display:
        finish(display, trials)
        raise KeyboardInterrupt


def test_an_interrupted_run_shows_what_it_has(lines: io.StringIO) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt_after(GRID[:2])
    assert lines.getvalue().endswith("tables of 2\n")


def test_interrupted_before_anything_has_ended_it_shows_nothing(lines: io.StringIO) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt_after([])
    assert lines.getvalue() == ""


def test_a_log_is_told_what_begins(lines: io.StringIO) -> None:
    job = GRID[0].distillation.key
    with display_of(GRID) as display:
        for done in (1, 2, 3):
            display(Progress(job=job, phase="distill", done=done, total=10, metrics={}))
    (line,) = lines.getvalue().splitlines()
    assert line.startswith("0/8 trials")
    assert line.endswith("dm tiny ipc 1 seed 0: distill, 1/10")


def pulse_at(*seconds: float) -> Pulse:
    return Pulse(clock=iter(seconds).__next__)


def test_a_log_hears_every_few_minutes_how_far_it_is() -> None:
    pulse = pulse_at(0, 60, 120, 180, 240, 360)
    said = [pulse.line("job", "distill", done, 100) for done in (0, 10, 20, 30, 40, 60)]
    assert said == [
        "distill, 0/100",
        None,
        None,
        "distill, 30/100, about 7 min left",
        None,
        "distill, 60/100, about 4 min left",
    ]


def test_short_phases_are_not_told_and_long_ones_a_little_later() -> None:
    pulse = pulse_at(0, 1, 2, 11)
    assert pulse.line("job", "prepare", 1, 2) == "prepare, 1/2"
    assert pulse.line("job", "distill", 0, 9) is None
    assert pulse.line("job", "distill", 1, 9) is None
    assert pulse.line("job", "distill", 3, 9) == "distill, 3/9, about 20 s left"


def test_a_phase_that_is_done_once_more_counts_its_pace_anew() -> None:
    pulse = pulse_at(0, 100, 200, 300)
    assert pulse.line("job", "student", 1, 10) == "student, 1/10"
    assert pulse.line("job", "student", 10, 10) is None
    assert pulse.line("job", "student", 1, 10) == "student, 1/10"
    assert pulse.line("job", "student", 2, 10) is None
