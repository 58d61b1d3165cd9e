"""``label-robust``: how much of an accuracy is the images', and how much the labels'.

DD-Ranking's label-robust score, with both parts that it is made of. Each set is trained on under
class indices, under the soft labels stored with it and under a teacher's, all by one recipe; and as
its own paper prescribes, with its own labels, loss and augmentation (the native track, ``any`` in
the score). Random subsets, such subsets under a teacher's labels (``label-only``) and the whole
training set are references that every plan holds, because no score can be formed without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench import cards, scores
from bench.planning import Request
from bench.recipes import Labels, Recipe
from bench.references import (
    BEST_NOTE,
    SHARED_NOTE,
    BySeed,
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
from bench.studies import Cell, Column, Estimate, Study, mishaps
from bench.trials import Tier, Track, Trial

if TYPE_CHECKING:
    from bench.evaluation import Outcome
    from bench.exam import Entry, Exam
    from bench.experts import Expert
    from bench.records import Record

RANDOM, LABEL_ONLY, WHOLE = "random", "label-only", "whole"
FULL = Budget("full", 0)


@dataclass(frozen=True, kw_only=True)
class LabelRobust(GridRules):
    """Every field is a rule of the game: a change is a new ``version``, never an edit.

    Attributes:
        whole_epochs: epochs on the whole training set.
        teacher: how the teachers are trained on the real training images; their network is the
            student's.
        teachers: how many there are; repetition s is labelled by teacher s mod ``teachers``.
        weight: w of IOR in the score; HLR has 1 - w.
    """

    name: str = "label-robust"
    whole_epochs: int
    teacher: Recipe
    teachers: int = 5
    weight: float = 0.5

    @property
    def default_methods(self) -> tuple[str, ...]:
        """In the quick tier one method with hard labels and one with soft ones."""
        return ("dm", "apm") if self.tier == "quick" else ()

    def plan(self, request: Request) -> Iterable[Trial]:
        """Every method and reference under every kind of labels, and in its native track."""
        references = (WHOLE, RANDOM, LABEL_ONLY)
        for dataset in request.specs:
            for method, budget in with_references(self, request, dataset, references):
                for seed in self.seeds(request):
                    for track, recipe in self._students(request, dataset, method, budget):
                        yield self.student(
                            request,
                            dataset=dataset,
                            method=method,
                            budget=budget,
                            track=track,
                            recipe=recipe,
                            seed=seed,
                        )

    def _students(
        self, request: Request, dataset: str, method: str, budget: Budget
    ) -> Iterator[tuple[Track, Recipe]]:
        """Tracks and recipes of a cell; hard labels of its own need no student under hard ones."""
        if budget.kind == "full":  # HLR asks for no more than its hard labels
            yield "standard", replace(self.recipe, epochs=self.whole_epochs)
            return
        if "standard" in request.tracks:
            parameters = request.resolve(self, method, dataset, budget).parameters
            own_are_hard = cards.labels_of(method, parameters) == "hard"
            kinds: tuple[Labels, ...] = ("own", "teacher")
            for labels in kinds if own_are_hard else ("hard", *kinds):
                yield "standard", replace(self.recipe, labels=labels)
        if "native" in request.tracks:
            yield "native", self.recipe

    def wanted_experts(self, trial: Trial) -> list[Expert]:
        """The teacher that labels the images, where one does."""
        from bench.experts import Expert

        if trial.recipe.labels != "teacher":
            return []
        return [Expert(trial.architecture, self.teacher, trial.seed % self.teachers)]

    def evaluate(self, entries: Sequence[Entry], exam: Exam) -> list[Outcome]:
        """Train each student under its trial's labels, test it once after its last epoch."""
        return exam.score_all([self._taught(entry, exam) for entry in entries])

    def _taught(self, entry: Entry, exam: Exam) -> Entry:
        for expert in self.wanted_experts(entry.trial):
            teacher = exam.experts.teacher(expert.network, expert.recipe, expert.index)
            return entry._replace(teacher=teacher)
        return entry

    def studies(self, records: Sequence[Record]) -> Sequence[Study]:
        """Accuracy under each kind of labels, and the score with its parts."""
        rows = {key: _Row.of(members) for key, members in table_rows(records).items()}
        if not rows:
            return ()
        awaited = {f"{name}, {budget}": row.awaited for (budget, name), row in rows.items()}
        scored = {place: row for place, row in rows.items() if place[0].kind != "full"}
        others = {budget: _References.of(records, budget) for budget, _ in scored}
        balances = {place: self._balances(row, others[place[0]]) for place, row in scored.items()}
        behind = from_best(balances)
        dataset = records[0].trial.dataset
        return (
            Study(
                title=f"Accuracy under other labels: {dataset}",
                columns=ACCURACY_COLUMNS,
                rows=tuple((str(budget), name, *row.cells) for (budget, name), row in rows.items()),
                notes=(ACCURACY_NOTE, *unfinished(awaited, self.default_seeds), *mishaps(records)),
            ),
            Study(
                title=f"Label robustness: {dataset}",
                columns=SCORE_COLUMNS,
                rows=tuple(
                    (
                        str(place[0]),
                        place[1],
                        scores.score_of_mean(list(balances[place].values())),
                        *_gains(row, others[place[0]]),
                        behind[place],
                    )
                    for place, row in scored.items()
                ),
                notes=(*self._score_notes(), *generated(records), *_missing(records)),
            ),
        )

    def _balances(self, row: _Row, others: _References) -> BySeed:
        """α of each repetition."""

        def balance(whole: float, hard: float, native: float, random: float) -> float:
            parts = scores.gain(whole, hard), scores.gain(native, random)
            return scores.label_balance(*parts, self.weight)

        return by_repetition(balance, others.whole, row.hard, row.native, others.random)

    def _score_notes(self) -> tuple[str, ...]:
        return (
            f"LRS: the score of the mean balance α = {self.weight:g} · IOR - "
            f"{1 - self.weight:g} · HLR of accuracies as fractions, not the mean of the "
            "repetitions' scores; 95 % interval of α over repetitions, mapped. 0.269 is α = 0.",
            "HLR: whole training set minus this set, both under hard labels; smaller is better. "
            "IOR: this set in its native track minus a random subset in its own.",
            "Repetitions are paired by seed; only those that all parts share count.",
            SHARED_NOTE,
            BEST_NOTE,
        )


@dataclass(frozen=True, kw_only=True)
class _Row:
    """Accuracies of one method's repetitions under each kind of labels."""

    hard: BySeed
    stored: BySeed
    teacher: BySeed
    native: BySeed
    is_whole: bool
    hands_over_soft: bool

    @classmethod
    def of(cls, records: Sequence[Record]) -> _Row:
        def under(column: str) -> BySeed:
            return by_seed(record for record in records if _column(record) == column)

        return cls(
            hard=under("hard"),
            stored=under("soft"),
            teacher=under("teacher"),
            native=under("native"),
            is_whole=any(record.trial.budget == FULL for record in records),
            hands_over_soft=any(record.labels == "soft" for record in records),
        )

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Hard, stored soft and teacher's labels, native track."""
        parts = (self.hard, self.stored, self.teacher, self.native)
        return tuple(Estimate.of(list(part.values())) for part in parts)

    @property
    def awaited(self) -> Mapping[str, BySeed]:
        """Of these the ones that a plan holds, by name."""
        if self.is_whole:
            return {"hard labels": self.hard}
        stored = {"stored soft labels": self.stored} if self.hands_over_soft else {}
        others = {"teacher's labels": self.teacher, "native track": self.native}
        return {"hard labels": self.hard, **stored, **others}


def _column(record: Record) -> str | None:
    """``native``, or the kind of labels that the student of the standard track learnt from."""
    if record.trial.track == "native":
        return "native"
    labels: Labels = record.recipe.get("labels", "own")
    return record.labels if labels == "own" else labels


@dataclass(frozen=True, kw_only=True)
class _References:
    """What the rows of one budget are compared with."""

    whole: BySeed
    random: BySeed
    label_only: BySeed

    @classmethod
    def of(cls, records: Sequence[Record], budget: Budget) -> _References:
        real = Budget("ipc", budget.count)
        return cls(
            whole=_Row.of(reference(records, WHOLE, FULL)).hard,
            random=_Row.of(reference(records, RANDOM, real)).native,
            label_only=_Row.of(reference(records, LABEL_ONLY, real)).native,
        )


def _gains(row: _Row, others: _References) -> Iterator[Cell]:
    """HLR, IOR and the gain over label-only."""
    for ours, theirs in (
        (others.whole, row.hard),
        (row.native, others.random),
        (row.native, others.label_only),
    ):
        yield Estimate.of(each_repetition(scores.gain, ours, theirs))


def _missing(records: Sequence[Record]) -> Iterator[str]:
    """What the scores wait for."""
    for count in sorted({r.trial.budget.count for r in records if r.trial.budget.kind != "full"}):
        others = _References.of(records, Budget("ipc", count))
        for name, results, score in (
            (WHOLE, others.whole, "HLR"),
            (RANDOM, others.random, "IOR"),
            (LABEL_ONLY, others.label_only, "the gain over it"),
        ):
            if not results:
                yield f"No result of {name} yet at {count} images per class; {score} waits for it."


ACCURACY_COLUMNS = (
    Column(name="Budget"),
    Column(name="Method"),
    Column(name="Hard labels %", kind="percent"),
    Column(name="Stored soft labels %", kind="percent"),
    Column(name="Teacher's labels %", kind="percent"),
    Column(name="Native track %", kind="percent"),
)
ACCURACY_NOTE = (
    "The first three columns share one recipe, with cross-entropy; the native track has the "
    "method's own labels, loss and augmentation. Methods that hand over hard labels have no "
    "stored soft ones."
)
SCORE_COLUMNS = (
    Column(name="Budget"),
    Column(name="Method"),
    Column(name="LRS", kind="number"),
    Column(name="HLR", kind="points"),
    Column(name="IOR", kind="points"),
    Column(name="Over label-only", kind="points"),
    Column(name="α minus the best", kind="points"),
)


def _teacher(epochs: int) -> Recipe:
    """As the teachers of the methods with soft labels, so that they share expert buffers."""
    return Recipe(epochs=epochs, lr=0.05)


QUICK = LabelRobust(
    tier="quick",
    grid=(("digits", (1,)),),
    networks=NARROW_NETWORKS,
    recipe=Recipe(epochs=300),
    whole_epochs=100,
    teacher=_teacher(epochs=10),
)

LITE = LabelRobust(
    tier="lite",
    grid=(("fashion-mnist", (10,)), ("cifar10", (10,))),
    networks=FIELD_NETWORKS,
    recipe=Recipe(epochs=1000),
    whole_epochs=20,
    teacher=_teacher(epochs=10),
)

PAPER = LabelRobust(
    tier="paper",
    grid=(("cifar10", (1, 10, 50)), ("cifar100", (1, 10, 50)), ("tiny-imagenet", (1, 10, 50))),
    networks=FIELD_NETWORKS,
    recipe=Recipe(epochs=1000),
    whole_epochs=100,
    teacher=_teacher(epochs=100),
)

LABEL_ROBUST: dict[Tier, LabelRobust] = {"quick": QUICK, "lite": LITE, "paper": PAPER}
