"""What the audit found, found again: from the printed tables, and from the published profiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest

from bench.lines import lines
from bench.records import parse
from bench.statistics import ALPHA, summarize
from leaderboard import profile_files, reported, wording
from leaderboard.comparisons import compare
from leaderboard.rows import Row
from leaderboard.site import links
from leaderboard.site.claims import Finding, claims
from leaderboard.tables import tables
from leaderboard.works import Work, works

MIB = 2**20
HOME = Path(__file__).parents[2] / "leaderboard"


def rows(paper: str, table: str, **wanted: str) -> list[dict[str, str]]:
    """Printed accuracies, as the files hold them."""
    wanted |= {"paper": paper, "table": table, "metric": "accuracy"}
    return [row for row in reported.lines() if wanted.items() <= row.items() and row["mean"]]


def mean(paper: str, table: str, **wanted: str) -> float:
    (row,) = rows(paper, table, **wanted)
    return float(row["mean"])


def deviations(paper: str, table: str, one: dict[str, str], other: dict[str, str]) -> float:
    """How far two printed means are apart, in units of their combined deviation."""
    (first,), (second,) = rows(paper, table, **one), rows(paper, table, **other)
    gap = float(first["mean"]) - float(second["mean"])
    return gap / math.hypot(float(first["std"]), float(second["std"]))


def spread(dataset: str, method: str, budget: str, network: str) -> float:
    """Between the lowest and the highest row of the papers' main tables."""
    found = [
        float(row["mean"])
        for paper in ("apm", "datm", "dim", "tesla")
        for table in ("table-1", "table-2")
        for row in rows(paper, table, dataset=dataset, method=method, budget=budget)
        if row["eval_arch"] == network and not row["variant"]
    ]
    return max(found) - min(found)


def one(number: float) -> str:
    return f"{number:.1f}"


def tesla_prior_arts() -> list[str]:
    cell = {"dataset": "imagenet-1k-64", "eval_arch": "convnet-d4"}
    ours = mean("tesla", "table-1", method="tesla", budget="50", **cell)
    rival = mean("tesla", "table-1", method="frepo", budget="2", **cell)
    floor = mean("tesla", "table-1", method="random", budget="50", **cell)
    return [one(ours - rival), one(ours - floor)]


def tesla_transfer_margin() -> list[str]:
    found = []
    for data, network in (("cifar10", "vit"), ("cifar100", "resnet18")):
        cell = {"dataset": data, "eval_arch": network}
        apart = deviations("tesla", "table-2", cell | {"method": "tesla"}, cell | {"method": "mtt"})
        found.append(f"{apart:.2f}")
    return found


def datm_soft_labels() -> list[str]:
    def at(labels: str, order: str) -> float:
        variant = f"label-learning={labels};sequential-generation={order}"
        return mean("datm", "table-2c", variant=variant)

    return [one(at("on", order) - at("off", order)) for order in ("off", "on")]


def datm_worse_than_random() -> list[str]:
    found = []
    for budget in ("500", "1000"):
        cell = {"dataset": "cifar10", "budget": budget, "eval_arch": "convnet-d3"}
        floor = mean("apm", "table-1", method="random", **cell)
        three = [mean("apm", "table-1", method=m, **cell) for m in ("mtt", "tesla", "ftd")]
        assert min(three) > mean("datm", "table-1", method="random", **cell)
        found += [one(min(three) - floor), one(max(three) - floor)]
    return found


def datm_lossless() -> list[str]:
    cell = {"dataset": "tiny-imagenet", "method": "whole"}
    (ours,), (theirs,) = rows("datm", "table-1", **cell), rows("apm", "table-1", **cell)
    gap = float(theirs["mean"]) - float(ours["mean"])
    return [one(gap), one(gap / math.hypot(float(ours["std"]), float(theirs["std"])))]


def dim_abstract_budget() -> list[str]:
    cell = {"dataset": "cifar10", "budget": "10", "method": "dim"}
    stated = {"resnet18": 75.1, "convnet-d3": 72.6}
    return [
        one(value - mean("dim", "table-7", eval_arch=network, **cell))
        for network, value in stated.items()
    ]


def lead(table: str, dataset: str, budget: str) -> float:
    """DiM over the best of the others but its own simpler form."""
    cell = rows("dim", table, dataset=dataset, budget=budget, eval_arch="convnet-d3")
    others = [float(row["mean"]) for row in cell if row["method"] not in ("dim", "cgan", "whole")]
    (ours,) = (float(row["mean"]) for row in cell if row["method"] == "dim")
    return ours - max(others)


def dim_svhn() -> list[str]:
    return [one(lead(table, "svhn", n)) for table in ("table-2", "table-3") for n in ("1", "10")]


def dim_best_everywhere() -> list[str]:
    return [one(lead("table-2", "mnist", budget)) for budget in ("1", "10", "50")]


def model_pool_wins() -> list[str]:
    printed = {
        (row["budget"], row["eval_arch"], row["variant"], row["method"]): float(row["mean"])
        for row in rows("model_pool", "table-4")
    }
    cells = [key for key in printed if key[3] == "model-pool"]
    below = [
        sum(printed[*cell[:3], method] < printed[*cell[:3], "dc"] for cell in cells)
        for method in ("model-pool", "kd", "model-pool-kd")
    ]
    return [str(number) for number in (len(cells), *below)]


def model_pool_best_row() -> list[str]:
    found = []
    for iterations in (1000, 2000, 3000):
        cell = {"budget": "10", "eval_arch": "vgg11", "variant": f"iterations={iterations}"}
        alone, both = (
            mean("model_pool", "table-4", method=m, **cell) for m in ("kd", "model-pool-kd")
        )
        found.append(f"{alone - both:.2f}")
    return found


def apm_on_par_search() -> list[str]:
    cell = {"dataset": "cifar10", "budget": "50", "eval_arch": "convnet-d3"}
    rivals = ("mtt", "frepo")
    ours = {**cell, "method": "apm"}
    leads = [
        mean("apm", "table-1", **ours) - mean("apm", "table-1", method=m, **cell) for m in rivals
    ]
    apart = [deviations("apm", "table-1", ours, {**cell, "method": m}) for m in rivals]
    return [one(number) for number in (*leads, *apart)]


def apm_budgets() -> list[str]:
    found = {
        tuple(row["budget"] for row in rows("apm", "table-1", dataset=data, method="apm"))
        for data in ("cifar100", "tiny-imagenet", "imagenet-1k-64")
    }
    return list(*found)


def apm_ninety_four_percent() -> list[str]:
    def shares(of_imagenet: str) -> list[float]:
        tenth = {"cifar10": "500", "cifar100": "50", "tiny-imagenet": "50"}
        return [
            100
            * mean("apm", "table-1", dataset=data, method="apm", budget=budget)
            / mean("apm", "table-1", dataset=data, method="whole")
            for data, budget in {**tenth, "imagenet-1k-64": of_imagenet}.items()
        ]

    return [one(n) for n in (*shares("100"), fmean(shares("100")), fmean(shares("50")))]


def whole_dataset_bounds() -> list[str]:
    networks = {"cifar10": "convnet-d3", "tiny-imagenet": "convnet-d4"}
    networks |= {"imagenet-1k-64": "convnet-d4"}
    return [one(spread(data, "whole", "", network)) for data, network in networks.items()]


def random_baselines() -> list[str]:
    return [one(spread("cifar10", "random", budget, "convnet-d3")) for budget in ("1", "10", "50")]


RECOUNTED: dict[str, Callable[[], list[str]]] = {
    function.__name__: function
    for function in (
        tesla_prior_arts,
        tesla_transfer_margin,
        datm_soft_labels,
        datm_worse_than_random,
        datm_lossless,
        dim_abstract_budget,
        dim_svhn,
        dim_best_everywhere,
        model_pool_wins,
        model_pool_best_row,
        apm_on_par_search,
        apm_budgets,
        apm_ninety_four_percent,
        whole_dataset_bounds,
        random_baselines,
    )
}


def found(kind: str) -> dict[str, Finding]:
    """The findings of one kind by the name of their claim."""
    return {
        claim.id.replace("-", "_"): finding
        for claim in claims()
        for finding in claim.found
        if finding.kind == kind
    }


def stands_in(numbers: list[str], finding: Finding) -> bool:
    """Whether the finding states these numbers, in this order."""
    rest = finding.result
    for number in numbers:
        _, seen, rest = rest.partition(number)
        if not seen:
            return False
    return True


@pytest.mark.parametrize("name", RECOUNTED)
def test_recounted_numbers_are_those_of_the_printed_tables(name: str) -> None:
    finding = found("recounted")[name]
    assert finding.command.endswith(f"test_claims.py -k {name}")
    assert stands_in(RECOUNTED[name](), finding)


def published(method: str, steps: int, gradient: str) -> Work:
    """The published profile of a distillation on CIFAR-100 with TESLA's batch."""
    wanted = {"matching_steps": steps, "gradient": gradient, "batch_syn": 100}
    (only,) = (
        work
        for work in works(profile_files.read([HOME]).records)
        if (work.method, work.phase, work.place.dataset) == (method, "distill", "cifar100")
        and wanted.items() <= work.parameters.items()
    )
    return only


def test_forecast_memory_is_that_of_the_published_profiles() -> None:
    finding = found("forecast")["tesla_constant_memory"]
    ways = [("mtt", "unrolled"), ("tesla", "two-pass"), ("mtt", "adjoint")]
    peaks = [[published(m, n, how).forecast_peak or 0 for n in (1, 100)] for m, how in ways]
    texts = [[f"{peak / MIB:,.0f}" for peak in pair] for pair in peaks]
    slope = (peaks[0][1] - peaks[0][0]) / 99 / MIB
    assert stands_in([*texts[0], f"{slope:.0f}", *texts[1], *texts[2]], finding)
    assert stands_in([f"+ {100 * (peaks[2][1] / peaks[2][0] - 1):.0f} %"], finding)


def test_forecast_time_is_that_of_the_published_profiles() -> None:
    seconds = [
        published(method, 50, how).figures["forecast", "a6000"].seconds_per_step or 0
        for method, how in (("tesla", "two-pass"), ("mtt", "unrolled"))
    ]
    assert stands_in([f"{seconds[0] / seconds[1]:.2f} times"], found("forecast")["tesla_time"])


def test_what_was_measured_of_the_pool_is_what_the_published_records_say() -> None:
    finding = found("measured")["model_pool_wins"]
    folder = HOME / "results/cross-arch-v1/quick/digits"
    made = [
        parse(line, "line")
        for name in ("model-pool", "model-pool-kd", "dc")
        for _, line in lines(folder / f"{name}.jsonl")
    ]
    board = tables(made)

    def on_unseen(pool: str) -> tuple[list[Row], list[Row]]:
        cells = [
            cell for cell in compare(board, pool, "dc") if cell.a.architecture != "convnet-d2-w32"
        ]
        assert all(cell.adjusted_p is not None and cell.adjusted_p >= ALPHA for cell in cells)
        return [cell.a for cell in cells], [cell.b for cell in cells]

    def told(rows: list[Row]) -> list[str]:
        means = [fmean(values) for values in zip(*(row.values for row in rows), strict=True)]
        (iterations,) = {row.parameters["iterations"] for row in rows}
        return [wording.accuracy(summarize(means)), str(iterations)]

    longer, dc = on_unseen("model-pool (iterations=100)")
    preset, _ = on_unseen("model-pool-kd")
    mean, iterations = told(dc)
    assert stands_in([str(len(dc)), iterations, *told(longer), *told(preset), mean], finding)
    assert finding.command.endswith(f"--set model-pool.iterations={told(longer)[1]}")


def test_pages_that_findings_name_are_pages_of_the_site() -> None:
    known = {"", "efficiency.html", links.protocol_page("cross-arch")}
    assert {finding.page for claim in claims() for finding in claim.found} <= known


def test_every_recount_is_of_a_claim() -> None:
    assert RECOUNTED.keys() == found("recounted").keys()
