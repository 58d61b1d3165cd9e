"""``ablation``: what one parameter of a method does to accuracy and cost.

The ablation tables of the papers, such as DATM's synthetic steps (Guo et al., 2024,
arXiv:2310.05773, figure 9) and APM's cross-entropy term (Chen et al., 2023, arXiv:2312.08912, table
A6). One parameter takes one value after another, all others keep theirs. The rules have sweeps of
their own; others can be run under the same rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import median
from typing import ClassVar

from bench.cards import Scalar
from bench.errors import InvalidValue
from bench.files import canonical_json
from bench.planning import Request, Sweep
from bench.recipes import Recipe
from bench.records import Cost, Record
from bench.rules import FIELD_NETWORKS, NARROW_NETWORKS, GridRules
from bench.studies import Cell, Column, Estimate, Study, accuracies, machines, mishaps
from bench.trials import TRACKS, Tier, Trial


@dataclass(frozen=True, kw_only=True)
class Ablation(GridRules):
    """Every field is a rule of the game: a change is a new ``version``, never an edit.

    Attributes:
        sweeps: what is swept where nothing else is asked for.
    """

    heeds: ClassVar = frozenset({"sweeps"})

    name: str = "ablation"
    sweeps: tuple[Sweep, ...]

    @property
    def default_methods(self) -> tuple[str, ...]:
        """Those that these rules sweep."""
        return tuple(dict.fromkeys(sweep.method for sweep in self.sweeps))

    def plan(self, request: Request) -> Iterable[Trial]:
        """Every value of every sweep: dataset × budget × value × seed × track.

        Raises:
            InvalidValue: a method is asked for of which nothing is swept, or a parameter is both
                swept and changed.
        """
        sweeps = self._sweeps(request)
        for (dataset, spec), sweep in product(request.specs.items(), sweeps):
            network = self.network(spec.size_px)
            budgets = self.budgets(request, dataset, sweep.method)
            for budget, value in product(budgets, sweep.values):
                swept = _with(request, sweep, value)
                for seed, track in product(self.seeds(request), request.tracks):
                    yield swept.trial(
                        self,
                        method=sweep.method,
                        dataset=dataset,
                        budget=budget,
                        track=track,
                        recipe=self.recipe,
                        network=network,
                        architecture=network,
                        seed=seed,
                    )

    def _sweeps(self, request: Request) -> list[Sweep]:
        offered = request.sweeps or self.sweeps
        for method in request.methods:
            if method not in {sweep.method for sweep in offered}:
                raise InvalidValue(
                    f"{self.name} has nothing to sweep of {method} in the {self.tier} tier; "
                    f"give --sweep {method}.<parameter>=<value>,<value>."
                )
        return [sweep for sweep in offered if sweep.method in request.methods]

    def studies(self, records: Sequence[Record]) -> Sequence[Study]:
        """A table for each parameter that differs between records that else agree."""
        places: dict[tuple[object, ...], list[Record]] = defaultdict(list)
        for record in records:
            where, method = record.trial, record.method
            track = TRACKS.index(where.track)
            places[method.name, method.version, where.budget, track, where.network].append(record)
        return [
            _study(parameter, swept)
            for _, members in sorted(places.items())
            for parameter, swept in _swept(members)
        ]


def _with(request: Request, sweep: Sweep, value: Scalar) -> Request:
    """The request with one value of a sweep for a change of the user's.

    Raises:
        InvalidValue: the user changes the same parameter.
    """
    changes = request.changes.get(sweep.method, {})
    if sweep.parameter in changes:
        raise InvalidValue(f"{sweep.method}.{sweep.parameter} is both set and swept; keep one.")
    swept = {**changes, sweep.parameter: value}
    return replace(request, changes={**request.changes, sweep.method: swept})


def _swept(records: Sequence[Record]) -> Iterator[tuple[str, list[Record]]]:
    """Parameters with the records that differ in this one alone."""
    for parameter in sorted({name for record in records for name in record.method.parameters}):
        alike: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            others = {k: v for k, v in record.method.parameters.items() if k != parameter}
            alike[canonical_json(others)].append(record)
        for members in alike.values():
            if len(_by_value(parameter, members)) > 1:
                yield parameter, members


def _by_value(parameter: str, records: Iterable[Record]) -> Mapping[Scalar, list[Record]]:
    """Records by a parameter's value, least first."""
    found: dict[Scalar, list[Record]] = defaultdict(list)
    for record in records:
        found[record.method.parameters[parameter]].append(record)
    return dict(sorted(found.items()))


def _study(parameter: str, records: Sequence[Record]) -> Study:
    where, method = records[0].trial, records[0].method.name
    changes = {word for record in records for word in record.method.preset.split()[1:]}
    others = [change for change in sorted(changes) if not change.startswith(f"{parameter}=")]
    place = [where.dataset, str(where.budget), f"{where.track} track", *others]
    return Study(
        title=f"{method} by {parameter}: {', '.join(place)}",
        columns=(
            Column(name=parameter),
            Column(name="Accuracy %", kind="percent"),
            Column(name="Seeds", kind="number"),
            Column(name="Preparation", kind="seconds"),
            Column(name="Distillation", kind="seconds"),
            Column(name="Peak memory", kind="bytes"),
        ),
        rows=tuple(
            (str(value), *_row(members)) for value, members in _by_value(parameter, records).items()
        ),
        notes=(
            "Preparation (expert buffers) and distillation: medians over the seeds; peak memory of "
            "distillation: the largest.",
            *machines(records),
            *mishaps(records),
        ),
    )


def _row(records: Sequence[Record]) -> tuple[Cell, ...]:
    """Accuracy and cost of one value."""
    found = accuracies(records)
    prepared = _known(record.cost.prepare for record in records)
    distilled = _known(record.cost.distill for record in records)
    return (
        Estimate.of(found),
        len(found),
        median(cost.seconds for cost in prepared) if prepared else None,
        median(cost.seconds for cost in distilled) if distilled else None,
        max(cost.peak_bytes for cost in distilled) if distilled else None,
    )


def _known(costs: Iterable[Cost | None]) -> list[Cost]:
    return [cost for cost in costs if cost]


QUICK = Ablation(
    tier="quick",
    grid=(("digits", (1,)),),
    networks=NARROW_NETWORKS,
    recipe=Recipe(epochs=300),
    sweeps=(
        Sweep(method="tesla", parameter="matching_steps", values=(1, 5, 10)),
        Sweep(method="dm", parameter="lr_images", values=(0.1, 1.0, 10.0)),
    ),
)

LITE = Ablation(
    tier="lite",
    grid=(("cifar10", (10,)),),
    networks=FIELD_NETWORKS,
    recipe=Recipe(epochs=1000),
    sweeps=(
        # DATM, figure 9, left and middle, sweeps the synthetic steps of its own method
        Sweep(method="tesla", parameter="matching_steps", values=(10, 30, 50)),
        Sweep(method="apm", parameter="cross_entropy", values=(0.0, 0.1, 1.0, 10.0)),
    ),
)

PAPER = Ablation(
    tier="paper",
    grid=(("cifar10", (50,)),),
    networks=FIELD_NETWORKS,
    recipe=Recipe(epochs=1000),
    sweeps=(
        Sweep(method="apm", parameter="cross_entropy", values=(0.0, 0.1, 1.0, 10.0)),  # table A6
        Sweep(method="apm", parameter="experts", values=(1, 10, 50, 100)),  # figure 5a
        Sweep(method="datm", parameter="matching_steps", values=(40, 60, 80)),  # figure 9
    ),
)

ABLATION: dict[Tier, Ablation] = {"quick": QUICK, "lite": LITE, "paper": PAPER}
