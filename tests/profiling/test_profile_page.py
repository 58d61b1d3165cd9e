"""The numbers that ``docs/profile.md`` shows are those that are forecast."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from bench.profiling.forecast import forecast
from leaderboard.profile_files import read
from leaderboard.works import works
from tests.profiling.conftest import MakeSubject

PAGE = (Path(__file__).parents[2] / "docs" / "profile.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\w+)(, `gradient=adjoint`)? \| (\d+) \| ([\d,]+) \|", re.MULTILINE)
LONG = 10


def rows() -> list[ParameterSet]:
    found = []
    for method, adjoint, steps, printed in ROW.findall(PAGE):
        marks = [pytest.mark.slow] if int(steps) > LONG else []
        figures = (method, bool(adjoint), int(steps), int(printed.replace(",", "")))
        found.append(pytest.param(*figures, marks=marks))
    return found


@pytest.mark.parametrize(("method", "adjoint", "steps", "mib"), rows())
def test_the_table_beside_teslas_is_what_is_forecast(
    subject: MakeSubject, method: str, adjoint: bool, steps: int, mib: int
) -> None:
    changes = {"gradient": "adjoint"} if adjoint else {}
    at = subject(method, tier="paper", batch_syn=100, matching_steps=steps, **changes)
    assert forecast(at, "distill").peak_bytes / 2**20 == pytest.approx(mib, rel=0.001)


def test_the_page_has_such_a_table() -> None:
    assert len(rows()) == 10


PUBLISHED = re.compile(r"^\| (\w+) \| (\d+) \| `([^`]+)` \| ([\d.]+) \|", re.MULTILINE)
DATASETS = {"mtt": "imagenet-1k-64", "tesla": "imagenet-1k-64", "apm": "imagenet-1k-64"}
WORKS = works(read([Path(__file__).parents[2] / "leaderboard"]).records)


@pytest.mark.parametrize(("method", "budget", "setting", "gib"), PUBLISHED.findall(PAGE))
def test_figures_of_larger_settings_are_those_that_are_published(
    method: str, budget: str, setting: str, gib: str
) -> None:
    stated = dict(part.split("=") for part in setting.split(", "))
    stated |= {"batch_syn": "100"} if method in ("mtt", "tesla") else {}
    stated |= {"gradient": "unrolled"} if method == "datm" and "gradient" not in stated else {}
    (peak,) = (
        work.forecast_peak
        for work in WORKS
        if (work.method, work.phase) == (method, "distill")
        and work.place.dataset == DATASETS.get(method, "cifar100")
        and work.place.budget.count == int(budget)
        and all(str(work.parameters[name]) == value for name, value in stated.items())
    )
    assert f"{(peak or 0) / 2**30:.1f}" == gib


def test_the_page_names_every_larger_setting() -> None:
    assert len(PUBLISHED.findall(PAGE)) == 15
