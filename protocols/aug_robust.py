"""``aug-robust``: how much of an accuracy hangs on the augmentation of the student's training.

DD-Ranking's augmentation-robust score, with both parts that it is made of. Each set is trained on
under one recipe, of which the augmentation alone changes: none, differentiable augmentation, the
usual one of real images, two searched policies, and two that mix images with their labels. Random
subsets of as many images are the reference that every plan holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from bench import scores
from bench.errors import InvalidValue
from bench.planning import Request
from bench.recipes import Mixing, Recipe
from bench.references import (
    BEST_NOTE,
    SHARED_NOTE,
    BySeed,
    Place,
    by_repetition,
    by_seed,
    each_repetition,
    from_best,
    generated,
    reference,
    table_rows,
    unfinished,
    with_references,
)
from bench.rules import FIELD_NETWORKS, NARROW_NETWORKS, GridRules
from bench.specs import Budget
from bench.studies import Cell, Column, Estimate, Kind, Study, mishaps
from bench.trials import Tier, Trial

if TYPE_CHECKING:
    from bench.records import Record

RANDOM = "random"
NONE = "none"
MIXINGS: tuple[Mixing, ...] = get_args(Mixing)


@dataclass(frozen=True, kw_only=True)
class AugRobust(GridRules):
    """Every field is a rule of the game: a change is a new ``version``, never an edit.

    Attributes:
        families: names of ``bench.augment``, or of a recipe's mixing, which comes without any
            other augmentation; ``none`` is among them.
        whole_epochs: epochs on the whole training set, for the ceiling row.
        weight: γ of the gain with augmentation in the score; the gain without has 1 - γ.
    """

    name: str = "aug-robust"
    families: tuple[str, ...] = (
        NONE,
        "dsa",
        "crop-flip",
        "randaugment",
        "autoaugment",
        "cutmix",
        "mixup",
    )
    whole_epochs: int
    weight: float = 0.5

    @property
    def default_methods(self) -> tuple[str, ...]:
        """In the quick tier one method whose images are real and one whose are learnt."""
        return ("herding", "dm") if self.tier == "quick" else ()

    def plan(self, request: Request) -> Iterable[Trial]:
        """Every method and the reference under every family.

        Raises:
            InvalidValue: the native track alone is asked for.
        """
        if "standard" not in request.tracks:
            raise InvalidValue(
                f"{self.name} changes the augmentation of one recipe for all methods, so it has "
                f"the standard track alone; leave out --track native."
            )
        for dataset in request.specs:
            for method, budget in with_references(self, request, dataset, (RANDOM,)):
                for seed in self.seeds(request):
                    for family in self.families:
                        yield self._trial(request, dataset, method, budget, family, seed)

    def _trial(
        self, request: Request, dataset: str, method: str, budget: Budget, family: str, seed: int
    ) -> Trial:
        return self.student(
            request,
            dataset=dataset,
            method=method,
            budget=budget,
            track="standard",
            recipe=self._recipe(family, budget),
            seed=seed,
        )

    def _recipe(self, family: str, budget: Budget) -> Recipe:
        """The recipe with this augmentation in place of its own."""
        epochs = self.whole_epochs if budget.kind == "full" else self.recipe.epochs
        for mixing in MIXINGS:
            if mixing == family:
                return replace(self.recipe, epochs=epochs, augmentation=NONE, mixing=mixing)
        return replace(self.recipe, epochs=epochs, augmentation=family, mixing="none")

    def studies(self, records: Sequence[Record]) -> Sequence[Study]:
        """Accuracy under each family, the gain over random, and the score made of two gains."""
        if not records:
            return ()
        rows = [
            _Row.of(budget, name, members, reference(records, RANDOM, _real(budget)))
            for (budget, name), members in table_rows(records).items()
        ]
        compared = [row for row in rows if row.budget.kind != "full"]
        dataset = records[0].trial.dataset
        missing = (*generated(records), *_missing(compared))
        augmented = tuple(family for family in self.families if family != NONE)
        behind = {family: self._from_best(compared, family) for family in augmented}
        return (
            _study(
                f"Accuracy under other augmentations: {dataset}",
                "percent",
                self.families,
                rows,
                _Row.accuracy,
                (ACCURACY_NOTE, *self._unfinished(rows), *mishaps(records)),
            ),
            _study(
                f"Gain over a random subset: {dataset}",
                "points",
                self.families,
                compared,
                _Row.gain,
                (PAIRED_NOTE, *missing),
            ),
            _study(
                f"Augmentation robustness (ARS): {dataset}",
                "number",
                augmented,
                compared,
                self._score,
                (self._score_note, PAIRED_NOTE, SHARED_NOTE, *missing),
            ),
            _study(
                f"β minus that of the best row: {dataset}",
                "points",
                augmented,
                compared,
                lambda row, family: behind[family][row.budget, row.method],
                (BEST_NOTE, PAIRED_NOTE),
            ),
        )

    def _score(self, row: _Row, family: str) -> Estimate | None:
        return scores.score_of_mean(list(self._balances(row, family).values()))

    def _from_best(self, rows: Iterable[_Row], family: str) -> Mapping[Place, Estimate | None]:
        return from_best({(row.budget, row.method): self._balances(row, family) for row in rows})

    def _balances(self, row: _Row, family: str) -> BySeed:
        """β of each repetition."""

        def balance(ours: float, random: float, ours_without: float, without: float) -> float:
            gains = scores.gain(ours, random), scores.gain(ours_without, without)
            return scores.augmentation_balance(*gains, self.weight)

        return by_repetition(
            balance, row.ours[family], row.random[family], row.ours[NONE], row.random[NONE]
        )

    @property
    def _score_note(self) -> str:
        return (
            f"ARS: the score of the mean balance β = {self.weight:g} · gain with this augmentation "
            f"+ {1 - self.weight:g} · gain without any, of accuracies as fractions, not the mean "
            "of the repetitions' scores; 95 % interval of β over repetitions, mapped. 0.269 is "
            "β = 0, a random subset."
        )

    def _unfinished(self, rows: Iterable[_Row]) -> Iterator[str]:
        awaited = {
            f"{row.method}, {row.budget}": {family: row.ours[family] for family in self.families}
            for row in rows
        }
        return unfinished(awaited, self.default_seeds)


ByFamily = Mapping[str, BySeed]


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One method's accuracies under each family, and those of random subsets of its size."""

    budget: Budget
    method: str
    ours: ByFamily
    random: ByFamily

    @classmethod
    def of(
        cls, budget: Budget, method: str, ours: Sequence[Record], random: Sequence[Record]
    ) -> _Row:
        return cls(budget=budget, method=method, ours=_by_family(ours), random=_by_family(random))

    def accuracy(self, family: str) -> Estimate | None:
        return Estimate.of(list(self.ours[family].values()))

    def gain(self, family: str) -> Estimate | None:
        return Estimate.of(each_repetition(scores.gain, self.ours[family], self.random[family]))


def _by_family(records: Iterable[Record]) -> ByFamily:
    grouped: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        grouped[_family(record)].append(record)
    return defaultdict(dict, {family: by_seed(members) for family, members in grouped.items()})


def _family(record: Record) -> str:
    """What the student was trained under: the mixing, or else the augmentation."""
    mixing: str = record.recipe.get("mixing", NONE)
    return mixing if mixing != NONE else record.recipe["augmentation"]


def _real(budget: Budget) -> Budget:
    """The budget of as many real images per class."""
    return Budget("ipc", budget.count) if budget.kind == "inpc" else budget


def _missing(rows: Iterable[_Row]) -> Iterator[str]:
    """What the gains and scores wait for."""
    for count in sorted({row.budget.count for row in rows if not row.random}):
        yield f"No result of {RANDOM} yet at {count} images per class; every gain waits for it."


def _study(
    title: str,
    kind: Kind,
    families: Sequence[str],
    rows: Iterable[_Row],
    cell: Callable[[_Row, str], Cell],
    notes: tuple[str, ...],
) -> Study:
    """A row for each method, a column for each family."""
    return Study(
        title=title,
        columns=(
            Column(name="Budget"),
            Column(name="Method"),
            *(Column(name=family, kind=kind) for family in families),
        ),
        rows=tuple(
            (str(row.budget), row.method, *(cell(row, family) for family in families))
            for row in rows
        ),
        notes=notes,
    )


ACCURACY_NOTE = (
    "One recipe, with the labels that the method hands over; the augmentation alone differs. "
    "cutmix and mixup mix labels as they mix images, and come without another augmentation."
)
PAIRED_NOTE = "Repetitions are paired by seed; only those that all parts share count."

QUICK = AugRobust(
    tier="quick",
    grid=(("digits", (1,)),),
    networks=NARROW_NETWORKS,
    recipe=Recipe(epochs=300),
    whole_epochs=100,
)

LITE = AugRobust(
    tier="lite",
    grid=(("fashion-mnist", (10,)), ("cifar10", (10,))),
    networks=FIELD_NETWORKS,
    recipe=Recipe(epochs=1000),
    whole_epochs=20,
)

PAPER = AugRobust(
    tier="paper",
    grid=(("cifar10", (1, 10, 50)), ("cifar100", (1, 10, 50)), ("tiny-imagenet", (1, 10, 50))),
    networks=FIELD_NETWORKS,
    recipe=Recipe(epochs=1000),
    whole_epochs=100,
)

AUG_ROBUST: dict[Tier, AugRobust] = {"quick": QUICK, "lite": LITE, "paper": PAPER}
