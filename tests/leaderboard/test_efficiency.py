"""Costs as tables: kinds apart, equal work alone compared, nothing damaged or hostile let in."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner, Result

from bench import records as trials
from bench.profiling.records import ProfileRecord, append, path_of
from bench.specs import Budget
from bench.studies import Study
from leaderboard import command, markdown
from leaderboard.efficiency import Section, sections, unmatched
from leaderboard.printed_costs import PrintedCost, printed_costs
from leaderboard.profile_files import installed_hash, publish, read
from leaderboard.works import works
from tests.leaderboard.profiles import MTT, RTX4090, RULES_HASH, TESLA, forecast, measured
from tests.records import ENVIRONMENT, make

HOSTILE = "<script>alert(1)</script> | `x` [a](javascript:b)"


def only(*records: ProfileRecord) -> Section:
    (section,) = sections(records)
    return section


def table(title: str, *records: ProfileRecord) -> Study:
    return next(study for study in only(*records).studies if study.title == title)


def columns(study: Study) -> dict[str, list[Any]]:
    """The cells below each head."""
    names = [column.name for column in study.columns]
    return dict(zip(names, map(list, zip(*study.rows, strict=True)), strict=True))


def at_steps(steps: int, **facts: Any) -> ProfileRecord:
    return forecast(parameters=MTT | {"matching_steps": steps}, **facts)


# columns and ratios


def test_measured_and_forecast_figures_of_one_device_stand_in_columns_of_their_own() -> None:
    made = [measured(peak=3_000, step=6.0), forecast(peak=2_000, step=4.0)]
    memory = columns(table("Peak memory", *made))
    assert memory["rtx4090, measured"] == [3_000]
    assert memory["CUDA, forecast"] == [2_000]
    assert memory["rtx4090: measured / forecast"] == [1.5]
    time = columns(table("Time of a step", *made))
    assert time["rtx4090, measured"] == [6.0]
    assert time["rtx4090, forecast"] == [4.0]
    assert time["rtx4090: measured / forecast"] == [1.5]


def test_no_column_holds_figures_of_two_kinds_or_devices() -> None:
    devices = ("rtx4090", "a100-80gb", "t4")
    made = [forecast(device=name, step=number) for number, name in enumerate(devices, 1)]
    made += [measured(device="CPU A", step=10.0), measured(device="CPU B", step=20.0)]
    time = columns(table("Time of a step", *made))
    assert {
        name: cells for name, cells in time.items() if name.endswith(("measured", "forecast"))
    } == {
        "CPU A, measured": [10.0],
        "CPU B, measured": [20.0],
        "a100-80gb, forecast": [2],
        "rtx4090, forecast": [1],
        "t4, forecast": [3],
        "a100-80gb / rtx4090, forecast": [2.0],
    }


def test_the_4090_and_the_a100_are_compared_within_a_kind_alone() -> None:
    time = columns(
        table("Time of a step", measured(step=2.0), forecast(device="a100-80gb", step=3.0))
    )
    assert not [name for name in time if name.startswith("a100-80gb /")]


def test_other_parameters_budgets_and_rules_are_other_work() -> None:
    assert len(works([measured(), forecast()])) == 1
    for facts in (
        {"parameters": MTT | {"matching_steps": 10}},
        {"budget": Budget("ipc", 10)},
        {"protocol_hash": "b" * 64},
        {"dataset": "cifar10"},
        {"method_version": 2},
        {"phase": "evaluate"},
        {"tier": "lite"},
        {"network": "convnet-d4"},
    ):
        found = works([measured(), forecast(**facts)])
        assert sorted(len(work.figures) for work in found) == [1, 1], facts


def test_live_tensors_of_a_cpu_are_not_divided_by_what_an_allocator_would_take() -> None:
    memory = columns(
        table("Peak memory", measured(device="CPU A", reserved_bytes=None), forecast())
    )
    assert not [name for name in memory if "/" in name]


def test_a_card_capped_to_another_is_a_device_of_its_own() -> None:
    memory = columns(table("Peak memory", measured(device="NVIDIA H200", emulated="rtx4090")))
    assert "h200 capped to rtx4090, measured" in memory


def test_running_out_of_memory_is_said_and_enters_no_ratio() -> None:
    full = measured(status="oom", fits=False, peak_bytes=None, seconds_per_step=None, seconds=())
    memory = columns(
        table("Peak memory", full.model_copy(update={"seconds_total": None}), forecast())
    )
    assert memory["rtx4090, measured"] == ["out of memory"]
    assert "rtx4090: measured / forecast" not in memory


def test_what_does_not_fit_says_what_would_help() -> None:
    memory = columns(table("Peak memory", forecast(fits=False, remedy="gradient=adjoint")))
    assert memory["fits rtx4090, forecast"] == ["no; with gradient=adjoint"]


def test_the_latest_record_counts_whatever_the_order() -> None:
    made = [forecast(peak=year, time=f"{year}-01-01T00:00:00Z") for year in (2020, 2021, 2022)]
    for order in itertools.permutations(made):
        assert columns(table("Peak memory", *order))["CUDA, forecast"] == [2022]


def test_rows_are_named_by_what_differs_and_sorted_by_size() -> None:
    rates = (100, 5, 20)
    section = only(*(forecast(parameters=MTT | {"lr_images": rate}) for rate in rates))
    names = columns(section.studies[0])["Method"]
    assert names == [f"mtt (lr_images={rate})" for rate in sorted(rates)]
    assert "mtt: batch_syn 100, gradient unrolled, matching_steps 50." in section.facts


def test_a_sweep_is_a_row_with_a_column_a_value() -> None:
    adjoint = MTT | {"gradient": "adjoint", "matching_steps": 20}
    made = [at_steps(20, peak=200), at_steps(1, peak=100), forecast(parameters=adjoint, peak=3)]
    made += [forecast(parameters=adjoint | {"matching_steps": 9}, peak=2, fits=False)]
    against = columns(table("Peak memory against matching steps, forecast", *made))
    assert list(against) == ["Method", "Device", "1", "9", "20", "Largest here that fits rtx4090"]
    assert against["Method"] == ["mtt (gradient=adjoint)", "mtt (gradient=unrolled)"]
    assert [against[steps] for steps in ("1", "9", "20")] == [[None, 100], [2, None], [3, 200]]
    assert against["Largest here that fits rtx4090"] == [20, 20]
    titles = [study.title for study in only(*made).studies]
    assert "Peak memory" not in titles  # it would repeat the sweep's figures
    assert not [title for title in titles if "measured" in title]


def test_a_preset_whose_phases_are_all_known_stands_among_the_others_as_well() -> None:
    made = [at_steps(20), at_steps(1), at_steps(20, phase="evaluate")]
    memory = columns(table("Peak memory", *made))
    assert memory["Phase"] == ["distill", "evaluate"]
    assert memory["Method"] == ["mtt (matching_steps=20)"] * 2


def test_measured_and_forecast_sweeps_are_tables_of_their_own() -> None:
    made = [at_steps(n, step=float(n)) for n in (1, 5)]
    made += [measured(parameters=MTT | {"matching_steps": n}, step=2.0 * n) for n in (1, 5)]
    for kind, seconds in (("forecast", [[1.0], [5.0]]), ("measured", [[2.0], [10.0]])):
        time = columns(table(f"Time of a step against matching steps, {kind}", *made))
        assert time["Device"] == ["rtx4090"]
        assert [time["1"], time["5"]] == seconds


def test_what_was_skipped_is_a_sentence_and_no_row() -> None:
    lost = forecast("apm", status="skipped", reason="needs colour", peak_bytes=None)
    section = only(forecast(), lost)
    assert columns(section.studies[0])["Method"] == ["mtt"]
    assert "apm, distill: skipped, needs colour." in section.facts


# beside the papers


def test_a_printed_peak_stands_beside_the_work_with_everything_that_the_paper_states() -> None:
    beside = columns(table("Peak memory beside the papers", at_steps(100, peak=31469 * 2**19)))
    assert beside["Printed"] == ["31469 MB"]
    assert beside["Where"] == ["tesla, table-4"]
    assert beside["CUDA, forecast / printed"] == [0.5]


@pytest.mark.parametrize(
    "facts",
    [
        {"parameters": MTT | {"batch_syn": 50}},
        {"parameters": MTT | {"gradient": "adjoint"}},
        {"parameters": MTT | {"matching_steps": 51}},
        {"dataset": "cifar10"},
        {"network": "convnet-d4"},
        {"phase": "prepare"},
        {"method": "datm"},
    ],
)
def test_other_work_is_not_held_against_a_printed_figure(facts: dict[str, Any]) -> None:
    beside = [study.title for study in only(forecast()).studies if "beside" in study.title]
    assert len(beside) == 2
    changed = only(forecast().model_copy(update=facts))
    assert not [study.title for study in changed.studies if "beside" in study.title]


def test_printed_times_are_of_one_iteration() -> None:
    beside = columns(table("Time of a step beside the papers", forecast("tesla", step=2.9)))
    assert beside["Printed"] == ["14.5 ± 0.5 seconds"]
    assert beside["Printed, a step"] == [1.45]
    assert beside["rtx4090, forecast / printed"] == [2.0]


def test_two_tables_of_a_paper_agree_on_what_a_unit_is() -> None:
    def peak(where: str) -> PrintedCost:
        (cost,) = (
            c
            for c in printed_costs()
            if c.source == where and c.run.is_of(work) and "B" in c.printed
        )
        return cost

    (work,) = works([forecast()])
    assert peak("tesla, table-5").value == pytest.approx(peak("tesla, table-4").value, rel=0.001)


def test_every_printed_figure_is_either_beside_a_work_or_listed_alone() -> None:
    found = sections([forecast(), forecast("tesla")])
    rest = unmatched(found)
    assert rest is not None
    beside = sum(len(s.rows) for section in found for s in section.studies if "beside" in s.title)
    assert beside == 6  # table 4, memory and time of table 5, for two methods
    assert beside + len(rest.rows) == len(printed_costs())


def test_ratios_of_two_methods_stand_beside_the_printed_ones() -> None:
    pair = [forecast(peak=9_000, step=2.0), forecast("tesla", peak=3_000, step=5.0)]
    other = at_steps(10, peak=1)
    memory = columns(table("Peak memory of one method over another", *pair, other))
    assert (memory["Method"], memory["Over"]) == (["mtt (matching_steps=50)"], ["tesla"])
    assert (memory["Printed"], memory["CUDA, forecast"]) == (["4.75 ×"], [3.0])
    time = columns(table("Time of one method over another", *pair, other))
    assert (time["Printed"], time["rtx4090, forecast"]) == (["1.25 ×"], [2.5])


def test_whole_runs_are_compared_by_all_their_steps() -> None:
    place: dict[str, Any] = {"dataset": "imagenet-1k-64", "network": "convnet-d4"}
    tesla = forecast("tesla", step=2.0, steps=300, **place)
    apm = forecast("apm", step=3.0, steps=100, parameters={"segment": 500}, **place)
    other = forecast("apm", step=3.0, steps=100, parameters={"segment": 50}, **place)
    time = columns(table("Time of one method over another", tesla, apm, other))
    assert (time["Printed"], time["rtx4090, forecast"]) == (["5 ×"], [2.0])


# published records


def test_profiles_are_published_once_and_what_stands_is_never_touched(tmp_path: Path) -> None:
    store, home = tmp_path / "runs", tmp_path / "leaderboard"
    for made in (forecast(), forecast(time="2025-07-01T00:00:00Z", peak=5), measured()):
        append(store, made)
    first = publish(store, home, installed_hash)
    assert (first.published, first.present, first.refused, first.faults) == (2, 0, [], [])
    assert sorted(r.peak_bytes or 0 for r in read([home]).records) == [5, 2**30]
    path = path_of(home, forecast())
    before = path.read_bytes()
    append(store, forecast("tesla"))
    append(store, forecast(time="2026-01-01T00:00:00Z", peak=7))
    again = publish(store, home, installed_hash)
    assert (again.published, again.present) == (1, 2)
    assert path.read_bytes() == before


def test_the_same_figure_of_another_commit_joins(tmp_path: Path) -> None:
    store, home = tmp_path / "runs", tmp_path / "leaderboard"
    append(home, forecast())
    append(store, forecast(environment=ENVIRONMENT.model_copy(update={"commit": "d" * 40})))
    assert publish(store, home, installed_hash).published == 1


def test_readers_of_trials_never_see_profiles(tmp_path: Path) -> None:
    append(tmp_path / "runs", forecast())
    publish(tmp_path / "runs", tmp_path / "leaderboard", installed_hash)
    assert trials.scan(tmp_path / "leaderboard" / "results") == ([], [])
    assert (tmp_path / "leaderboard/profiles/efficiency-v1/paper/cifar100/mtt.jsonl").is_file()


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (forecast(protocol_hash="b" * 64), "other rules than efficiency v1"),
        (forecast(device="t4", kind="measured", seconds_band=None), "it ran on CPU Testium 9"),
        (measured(kind="forecast"), "only be measured"),
        (measured(seconds=(1.0, 2.0, 3.0)), "median"),
        (forecast(seconds_total=1.0), "another total"),
        (forecast(seconds_band=(2.0, 4.0)), "outside its band"),
        (forecast(peak_bytes=None), "without a peak"),
        (
            forecast(environment=ENVIRONMENT.model_copy(update={"commit": "c-dirty"})),
            "uncommitted changes",
        ),
    ],
)
def test_a_figure_that_cannot_stand_is_refused(
    tmp_path: Path, record: ProfileRecord, words: str
) -> None:
    append(tmp_path / "runs", record)
    outcome = publish(tmp_path / "runs", tmp_path / "leaderboard", installed_hash)
    (sentence,) = outcome.refused
    assert words in sentence
    assert read([tmp_path / "leaderboard"]).records == []


def test_rules_that_are_not_installed_must_agree_with_what_stands(tmp_path: Path) -> None:
    for letter in "ab":
        append(
            tmp_path / "runs", forecast(version=9, device=f"t{letter}", protocol_hash=letter * 64)
        )
    outcome = publish(tmp_path / "runs", tmp_path / "leaderboard", installed_hash)
    assert (outcome.published, len(outcome.refused)) == (1, 1)


@pytest.mark.parametrize("line", ["{broken", '{"schema": 2}', "[" * 100_000])
def test_a_damaged_line_is_told_with_its_place_and_the_rest_is_read(
    tmp_path: Path, line: str
) -> None:
    append(tmp_path, forecast())
    path = path_of(tmp_path, forecast())
    path.write_text(f"{line}\n{path.read_text()}")
    reading = read([tmp_path])
    assert len(reading.records) == 1
    (fault,) = reading.faults
    assert f"{path}:1 is no profile record" in str(fault)


def test_a_budget_that_cannot_be_is_a_damaged_line(tmp_path: Path) -> None:
    append(tmp_path, forecast())
    path = path_of(tmp_path, forecast())
    path.write_text(path.read_text().replace('"count":50', '"count":0'))
    (fault,) = read([tmp_path]).faults
    assert "A budget of 0 (ipc) cannot be" in str(fault)


@pytest.mark.parametrize("dataset", ["../../../../elsewhere", "/elsewhere"])
def test_a_name_that_leads_out_of_the_folder_is_neither_read_nor_published(
    tmp_path: Path, dataset: str
) -> None:
    store, home = tmp_path / "a/b/c/runs", tmp_path / "a/b/c/leaderboard"
    path = path_of(store, forecast())
    path.parent.mkdir(parents=True)
    hostile = forecast(dataset=dataset)
    path.write_text(hostile.model_dump_json(by_alias=True) + "\n")
    outcome = publish(store, home, installed_hash)
    assert outcome.published == 0
    assert "belongs to another" in str(outcome.faults[0])
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


# the page and the commands


def test_hostile_strings_are_shown_as_text() -> None:
    made = forecast(
        HOSTILE,
        HOSTILE,
        parameters={HOSTILE: HOSTILE},
        dataset=HOSTILE,
        network=HOSTILE,
        remedy=HOSTILE,
        fits=False,
    )
    other = made.model_copy(update={"parameters": {HOSTILE: "other"}})
    lost = made.model_copy(update={"phase": "evaluate", "status": "skipped", "reason": HOSTILE})
    page = markdown.page([], (), sections([made, other, lost]))
    parsed = MarkdownIt("commonmark").enable("table").parse(page)
    tokens = [*parsed, *(child for token in parsed for child in token.children or [])]
    assert not {token.type for token in tokens} & {"html_block", "html_inline", "link_open"}
    assert any(HOSTILE in token.content for token in tokens if token.type == "text")


def test_a_board_without_profiles_says_nothing_of_costs() -> None:
    assert "cost" not in markdown.page([]).split("State of")[1]


def call(*words: str) -> Result:
    return CliRunner().invoke(command.app, words)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a published trial, and a store with profiles alone."""
    monkeypatch.chdir(tmp_path)
    trials.append(Path("leaderboard/results"), make("dm", 0.5))
    append(Path("runs"), forecast())
    append(Path("runs"), measured("tesla", parameters=TESLA))
    return tmp_path


def test_publishing_profiles_makes_the_page_stale_until_it_is_built(checkout: Path) -> None:
    assert call("build").exit_code == 0
    result = call("publish")
    assert result.exit_code == 0, result.output
    assert "profiles: 2 published, 0 there already, 0 refused" in result.stdout
    assert call("build", "--check").exit_code == 1
    assert call("build").exit_code == 0
    assert call("build", "--check").exit_code == 0
    page = Path("leaderboard/README.md").read_text()
    assert "rtx4090, measured" in page
    assert "1 tables of 1 records" in call("build").stdout  # profiles are no trials


def test_a_damaged_profile_is_named_and_the_page_still_built(checkout: Path) -> None:
    call("publish")
    path = path_of(Path("leaderboard"), forecast())
    path.write_text("broken\n" + path.read_text())
    result = call("build")
    assert result.exit_code == 1
    assert f"{path}:1 is no profile record" in result.stderr
    assert RTX4090 not in Path("leaderboard/README.md").read_text()  # by its catalogue name
    assert "31469 MB" in Path("leaderboard/README.md").read_text()


def test_profiles_of_a_store_are_refused_aloud(checkout: Path) -> None:
    append(Path("runs"), forecast("datm", protocol_hash="b" * 64))
    result = call("publish")
    assert result.exit_code == 1
    assert f"hash bbbbbbbbbbbb, not {RULES_HASH[:12]}" in result.stderr
