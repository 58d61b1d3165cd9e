"""The page of costs: charts only of sweeps, kinds apart in them, hostile names as text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from bench.profiling.records import ProfileRecord
from leaderboard.efficiency import sections
from leaderboard.site import Sources, build, links
from leaderboard.site.charts import Chart
from leaderboard.site.memory import memory_charts
from tests.leaderboard.profiles import MTT, TESLA, forecast, measured
from tests.leaderboard.site.conftest import HOSTILE, Page, pages


def sweep(
    method: str = "mtt", steps: tuple[int, ...] = (1, 10), **facts: Any
) -> list[ProfileRecord]:
    """Forecasts that grow by 300 MB a step."""
    known = (MTT if method == "mtt" else TESLA) | facts.pop("parameters", {})
    return [
        forecast(method, peak=300_000_000 * n, parameters=known | {"matching_steps": n}, **facts)
        for n in steps
    ]


def drawn(records: list[ProfileRecord]) -> list[Chart]:
    return [chart for section in sections(records) for chart in memory_charts(section)]


def site(*records: ProfileRecord) -> dict[str, Page]:
    return pages(build([], Sources(records=[], profiles=records)))


def texts(page: Page) -> set[str]:
    return {text for _, text in page.texts}


def test_one_value_of_a_parameter_is_no_curve() -> None:
    assert drawn(sweep(steps=(10,))) == []
    assert drawn([*sweep(steps=(1,)), *sweep(steps=(10,), parameters={"batch_syn": 7})]) == []
    assert drawn(sweep(phase="evaluate")) == []


def test_measured_forecast_and_printed_points_have_columns_of_their_own() -> None:
    (chart,) = drawn(
        [*sweep(), measured(peak=4_000_000_000, parameters=MTT | {"matching_steps": 10})]
    )
    assert chart.head == ("Method", "Matching steps", "Measured", "Forecast", "Printed", "Where")
    ours = [line for line in chart.body if line[4] == "–"]
    assert ours == [
        ("mtt", "10", "4 GB", "–", "–", "rtx4090"),
        ("mtt", "1", "–", "300 MB", "–", "any CUDA device"),
        ("mtt", "10", "–", "3 GB", "–", "any CUDA device"),
    ]
    printed = [line for line in chart.body if line[4] != "–"]
    assert {line[2:4] for line in printed} == {("–", "–")}
    assert [line[5] for line in printed].count("tesla, table-4") == 11  # every printed length
    assert ("mtt", "100", "–", "–", "31469 MB", "tesla, table-4") in printed


def test_printed_points_are_drawn_for_their_own_gradient_and_batch_alone() -> None:
    for change in ({"gradient": "adjoint"}, {"batch_syn": 7}):
        (chart,) = drawn(sweep(parameters=change))
        assert len(chart.body) == 2, change


def test_sweeps_of_one_method_are_told_apart_by_what_differs() -> None:
    (chart,) = drawn([*sweep(), *sweep(parameters={"gradient": "adjoint"}), *sweep("tesla")])
    names = {line[0] for line in chart.body if line[3] != "–"}
    assert names == {"mtt (gradient=adjoint)", "mtt (gradient=unrolled)", "tesla"}


def test_a_segment_sweep_has_a_chart_of_its_own() -> None:
    made = [forecast("apm", parameters={"segment": n}) for n in (50, 500)]
    assert [chart.title for chart in drawn(made)] == ["Memory against images processed at once"]


def test_devices_that_the_curve_reaches_are_marked_by_their_memory() -> None:
    for steps, reached in (((1, 10), []), ((1, 100), ["rtx4090"])):
        (chart,) = drawn([*sweep("datm", steps), *sweep("datm", steps, device="a100-80gb")])
        rules = [layer for layer in chart.spec["layer"] if layer["mark"]["type"] == "rule"]
        assert [limit["device"] for r in rules for limit in r["data"]["values"]] == reached
        assert ("Dashed" in chart.caption) == bool(reached)


def test_the_page_shows_tables_charts_and_every_record() -> None:
    records = [*sweep(), *sweep("tesla")]
    files = build([], Sources(records=[], profiles=records))
    page = pages(files)["efficiency.html"]
    swept = "against matching steps, forecast"
    assert {f"Peak memory {swept}", f"Time of a step {swept}", "31469 MB"} <= texts(page)
    lines = files[links.PROFILES_FILE].decode().splitlines()
    assert [ProfileRecord.model_validate_json(line, strict=True) for line in lines] == records
    assert page.values("id").count("unmatched") == 1
    assert len(page.values("id")) == len(set(page.values("id")))


def test_the_front_page_leads_to_it_with_and_without_records() -> None:
    for records in ([], sweep()):
        found = site(*records)
        assert "efficiency.html" in found["index.html"].values("href")
        assert ("Peak memory beside the papers" in texts(found["efficiency.html"])) == bool(records)


def test_hostile_strings_stay_text() -> None:
    records = [
        record
        for text in HOSTILE
        for record in sweep(
            text,
            device=text,
            dataset=text,
            network=text,
            remedy=text,
            fits=False,
            parameters={text: text},
        )
    ]
    content = build([], Sources(records=[], profiles=records))["efficiency.html"].decode()
    page = pages({"efficiency.html": content.encode()})["efficiency.html"]
    for tag, attributes in page.elements:
        assert tag not in {"img", "svg", "iframe"}
        assert not any(name.startswith("on") for name in attributes)
        assert tag != "script" or set(attributes) <= {"type", "src", "defer"}
        assert not attributes.get("href", "").startswith("javascript")
    for block in re.findall(r'<script type="application/json">(.*?)</script>', content, re.S):
        assert "<" not in block
        json.loads(block)
    for text in HOSTILE:
        assert any(text in shown for shown in texts(page))


def test_the_page_is_made_without_torch() -> None:
    code = "import sys, leaderboard.site.efficiency; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_every_specification_compiles() -> None:
    vl_convert = pytest.importorskip("vl_convert")
    records = [
        *sweep(steps=(1, 100)),
        *(forecast("apm", parameters={"segment": n}) for n in (1, 9)),
    ]
    for chart in drawn(records):
        assert vl_convert.vegalite_to_vega(json.dumps(chart.spec, allow_nan=False))["marks"]
