"""``cross-arch``: do networks that a method never saw learn from what it distilled?

A set is distilled with one network, the field's ConvNet unless another is asked for, and fresh
students of many architectures train on it. Beside their accuracies stand the mean over the unseen
networks and the transfer gap: accuracy on the network distilled with minus that mean, seed by seed.
As DC, arXiv:2006.05929 (table 2), DATM, arXiv:2310.05773 (tables 2 and 5), APM, arXiv:2312.08912
(tables 2 and A5), and TESLA, arXiv:2211.10586 (table 2).

Papers leave the recipe of the other networks unsaid, and it decides: here each family's is a rule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

from bench import networks
from bench.errors import InvalidValue
from bench.planning import Request
from bench.recipes import Recipe
from bench.records import Record
from bench.rules import FIELD_NETWORKS, NARROW_NETWORKS, GridRules
from bench.specs import Budget
from bench.studies import Cell, Column, Estimate, Study, accuracies, mishaps, variant
from bench.trials import TRACKS, Tier, Track, Trial


@dataclass(frozen=True, kw_only=True)
class CrossArch(GridRules):
    """Every field is a rule of the game: a change is a new ``version``, never an edit.

    Attributes:
        tracks: which recipes there are; the native one is each family's, changed by the method.
        unseen: students beside the ConvNet of the image size, whose name stands for ``{network}``.
        family_recipes: ``(family, recipe)``: families that train otherwise than ``recipe`` says. A
            family is a network's name without its modifiers.
        resized: ``(family, smallest_px, resized_px)``: networks of this family see images below
            ``smallest_px``, which they cannot take, at ``resized_px``.
        whole_epochs: epochs on the whole training set, for the ceiling row.
    """

    heeds: ClassVar = frozenset({"networks"})

    name: str = "cross-arch"
    tracks: tuple[Track, ...] = TRACKS
    unseen: tuple[str, ...]
    family_recipes: tuple[tuple[str, Recipe], ...] = ()
    # 28 px, which it pads, is less than VGG11's 32 px and yet enough
    resized: tuple[tuple[str, int, int], ...] = (("vgg11", 28, 32),)
    whole_epochs: int

    @property
    def default_methods(self) -> tuple[str, ...]:
        """Few in the quick tier, which is to be done in minutes; all of them in the others."""
        return ("random", "dm", "tesla", "apm") if self.tier == "quick" else ()

    def plan(self, request: Request) -> Iterable[Trial]:
        """Every student of every cell; those of one distillation follow each other.

        Raises:
            InvalidValue: only tracks are asked for that these rules do not have.
        """
        tracks = self._tracks(request)
        for dataset, spec in request.specs.items():
            asked = request.networks or (self.network(spec.size_px),)
            for network, method in product(asked, request.methods):
                source = self.seen_as(network, spec.size_px)
                students = self.students(spec.size_px, source)
                for budget in self.budgets(request, dataset, method):
                    for seed, track, student in product(self.seeds(request), tracks, students):
                        yield request.trial(
                            self,
                            method=method,
                            dataset=dataset,
                            budget=budget,
                            track=track,
                            recipe=self.recipe_of(student, budget),
                            network=source,
                            architecture=student,
                            seed=seed,
                        )

    def _tracks(self, request: Request) -> tuple[Track, ...]:
        tracks = tuple(track for track in request.tracks if track in self.tracks)
        if not tracks:
            raise InvalidValue(
                f"{self.name} has no {' or '.join(request.tracks)} track in the {self.tier} tier; "
                f"it has {', '.join(self.tracks)}. Take another tier or track."
            )
        return tracks

    def students(self, size_px: int, source: str) -> tuple[str, ...]:
        """The architectures of a cell, the one distilled with first."""
        convnet = self.network(size_px)
        names = (convnet, *(name.format(network=convnet) for name in self.unseen))
        return tuple(dict.fromkeys([source, *(self.seen_as(name, size_px) for name in names)]))

    def seen_as(self, network: str, size_px: int) -> str:
        """The network as it takes images of this size: with a size of its own if it must."""
        name = networks.parse(network)
        for family, smallest_px, resized_px in self.resized:
            if name.base == family and name.size_px is None and size_px < smallest_px:
                return f"{network}@{resized_px}"
        return network

    def recipe_of(self, network: str, budget: Budget) -> Recipe:
        """How students of a network train in the standard track."""
        recipe = dict(self.family_recipes).get(networks.parse(network).base, self.recipe)
        return replace(recipe, epochs=self.whole_epochs) if budget.kind == "full" else recipe

    def studies(self, records: Sequence[Record]) -> Sequence[Study]:
        """Methods × architectures for each track, network distilled with and budget.

        The whole training set, which has no budget, closes every table.
        """
        places: dict[tuple[Track, str], list[Record]] = defaultdict(list)
        for record in records:
            places[record.trial.track, record.trial.network].append(record)
        return [
            self._study(table)
            for _, members in sorted(places.items(), key=_track_first)
            for table in _by_budget(members)
        ]

    def _study(self, records: Sequence[Record]) -> Study:
        where = records[0].trial
        others = {record.trial.architecture for record in records} - {where.network}
        unseen = sorted(others, key=lambda name: (self._place(name), name))
        methods: dict[tuple[bool, str], list[Record]] = defaultdict(list)
        for record in records:
            methods[record.trial.budget.kind == "full", variant(record)].append(record)
        transfers = {
            name: _Transfer.of(where.network, unseen, members)
            for (_, name), members in sorted(methods.items())
        }
        return Study(
            title=f"Transfer from {where.network}: {where.dataset}, {where.budget}, "
            f"{where.track} track",
            columns=(
                Column(name="Method"),
                *(Column(name=name, kind="percent") for name in (where.network, *unseen)),
                Column(name="Unseen mean", kind="percent"),
                Column(name="Transfer gap", kind="points"),
            ),
            rows=tuple((name, *transfer.cells()) for name, transfer in transfers.items()),
            notes=(
                f"Transfer gap: accuracy on {where.network}, which the methods distilled with, "
                f"minus the mean over the unseen networks, seed by seed, with its 95 % interval.",
                *self._recipes(records),
                *self._missing(unseen, transfers),
                *mishaps(records),
            ),
        )

    def _place(self, network: str) -> int:
        """Where a network stands among the unseen ones; those that the rules lack come first."""
        plain = network.partition("@")[0]
        for place, name in enumerate(self.unseen):
            if plain in {name.format(network=convnet) for _, convnet in self.networks}:
                return place
        return -1

    def _recipes(self, records: Sequence[Record]) -> Iterator[str]:
        """What of the students' training differs between families, and who sees other sizes."""
        names = sorted({record.trial.architecture for record in records})
        for family, recipe in self.family_recipes:
            common = self.recipe.as_dict()
            changes = [
                f"{key} {value}"
                for key, value in recipe.as_dict().items()
                if common.get(key) != value
            ]
            if any(networks.parse(name).base == family for name in names):
                yield f"{family} trains with {', '.join(changes)} in the standard track."
        for name in names:
            if size_px := networks.parse(name).size_px:
                yield f"{name} sees the images resized to {size_px} px."

    def _missing(self, unseen: Sequence[str], transfers: Mapping[str, _Transfer]) -> Iterator[str]:
        """What a table of an unfinished run still lacks."""
        if len(unseen) < len(self.unseen):
            yield f"So far {len(unseen)} of {len(self.unseen)} unseen networks."
        seeds = set().union(*(transfer.by_seed for transfer in transfers.values()))
        for name, transfer in transfers.items():
            if len(transfer.complete) < len(seeds):
                yield (
                    f"{name}: mean and gap over the {len(transfer.complete)} of {len(seeds)} "
                    f"seeds that have every network."
                )


@dataclass(frozen=True, kw_only=True)
class _Transfer:
    """One method's accuracies, in [0, 1], on the network it distilled with and on unseen ones."""

    seen: str
    unseen: tuple[str, ...]
    by_seed: Mapping[int, Mapping[str, float]]

    @classmethod
    def of(cls, seen: str, unseen: Sequence[str], records: Sequence[Record]) -> _Transfer:
        by_seed: dict[int, dict[str, float]] = defaultdict(dict)
        for record in records:
            found = by_seed[record.trial.evaluation_seed]
            for accuracy in accuracies([record]):
                found[record.trial.architecture] = accuracy
        return cls(seen=seen, unseen=tuple(unseen), by_seed=by_seed)

    @property
    def complete(self) -> list[Mapping[str, float]]:
        """The seeds that have every network."""
        wanted = {self.seen, *self.unseen}
        return [found for found in self.by_seed.values() if wanted <= found.keys()]

    def unseen_mean(self, accuracy: Mapping[str, float]) -> float:
        """Mean over the unseen networks of one complete seed."""
        return sum(accuracy[name] for name in self.unseen) / len(self.unseen)

    def cells(self) -> tuple[Cell, ...]:
        """Accuracy on every network, mean over the unseen ones, transfer gap."""
        complete = self.complete if self.unseen else []
        return (
            *(self._accuracy(name) for name in (self.seen, *self.unseen)),
            _narrow([self.unseen_mean(accuracy) for accuracy in complete]),
            Estimate.of(
                [accuracy[self.seen] - self.unseen_mean(accuracy) for accuracy in complete]
            ),
        )

    def _accuracy(self, network: str) -> Cell:
        return _narrow([found[network] for found in self.by_seed.values() if network in found])


def _narrow(values: Sequence[float]) -> Cell:
    """Mean ± deviation; the intervals of so many columns would hide the numbers."""
    found = Estimate.of(values)
    return replace(found, interval=None) if found else None


def _track_first(place: tuple[tuple[Track, str], object]) -> tuple[int, str]:
    (track, network), _ = place
    return TRACKS.index(track), network


def _by_budget(records: Sequence[Record]) -> Iterator[list[Record]]:
    """The records of one budget and, after them, those of the whole training set."""
    budgets: dict[Budget, list[Record]] = defaultdict(list)
    for record in records:
        budgets[record.trial.budget].append(record)
    whole = budgets.pop(Budget("full", 0), [])
    for budget in sorted(budgets):
        yield [*budgets[budget], *whole]
    if not budgets:
        yield whole


# Chosen on the validation split of digits, one image a class, of sets by random selection and DM.
# AlexNet and ViT hardly learn with the common rate, and best with about three times that: AlexNet
# 24 and 35 % with 0.01, 60 and 78 % with 0.03, 57 and 76 % with 0.05; ViT 36 and 49 %, 58 and 66 %,
# 48 and 68 %. For MLP, LeNet, VGG11 and ResNet18 neither 0.003 nor 0.03 is better by more than 3
# points on both; the common rate stays.
_QUICK_RECIPE = Recipe(epochs=300)
_FASTER = replace(_QUICK_RECIPE, lr=0.03)

QUICK = CrossArch(
    tier="quick",
    grid=(("digits", (1,)),),
    tracks=("standard",),
    networks=NARROW_NETWORKS,
    unseen=(
        "{network}-bn",
        "mlp",
        "lenet",
        "alexnet-w32",
        "vgg11-w8",
        "resnet18-w8",
        "resnet18-w8-bn",
        "vit-depth2-heads2-w64",
    ),
    recipe=_QUICK_RECIPE,
    family_recipes=(("alexnet", _FASTER), ("vit", _FASTER)),
    whole_epochs=20,
)

# DC, DSA, DM, DATM and APM train every network with the same SGD (their releases, utils.py:
# evaluate_synset), so no family has a recipe of its own here.
_PAPER_STUDENTS = (
    "{network}-bn",
    "mlp",
    "lenet",
    "alexnet",
    "vgg11",
    "resnet18",
    "resnet18-bn",
    "vit",
)

LITE = CrossArch(
    tier="lite",
    grid=(("fashion-mnist", (10,)), ("cifar10", (10,))),
    networks=FIELD_NETWORKS,
    unseen=_PAPER_STUDENTS,
    recipe=Recipe(epochs=1000),
    whole_epochs=20,
)

PAPER = CrossArch(
    tier="paper",
    grid=(
        ("cifar10", (1, 10, 50, 1000)),
        ("cifar100", (10, 50)),
        ("tiny-imagenet", (10, 50)),
        ("imagenet-1k-64", (10, 50)),
    ),
    networks=FIELD_NETWORKS,
    unseen=_PAPER_STUDENTS,
    recipe=Recipe(epochs=1000),
    whole_epochs=100,
)

CROSS_ARCH: dict[Tier, CrossArch] = {"quick": QUICK, "lite": LITE, "paper": PAPER}
