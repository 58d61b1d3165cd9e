"""From what the user asked for to a list of trials: torch is not imported here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from bench import cards, plugins
from bench.errors import ContractError, InvalidValue, UnknownName
from bench.files import digest
from bench.recipes import Precision, Recipe
from bench.specs import Budget, DatasetSpec
from bench.trials import Distillation, Split, Tier, Track, Trial

if TYPE_CHECKING:
    from bench.evaluation import Outcome
    from bench.exam import Entry, Exam
    from bench.records import Record
    from bench.studies import Study


@runtime_checkable
class Rules(Protocol):
    """A protocol at one tier: a frozen dataclass; every field is a rule of the game.

    A class attribute ``heeds``, no field, may name those of ``sweeps`` and ``networks`` that a
    request may give; without it they are refused, not ignored. A method ``require(datasets,
    data_root)`` may raise ``MissingData`` before anything is done: the rules need more than the
    datasets. Rules that rank architectures may say against what by ``ground_truth(records)``, a
    :class:`bench.studies.GroundTruth`, and which records measured it by ``measures_truth(record)``.
    """

    @property
    def name(self) -> str:
        """The protocol's name."""

    @property
    def version(self) -> int:
        """Raised with every change of a field."""

    @property
    def tier(self) -> Tier:
        """How much compute the rules ask for."""

    @property
    def default_datasets(self) -> tuple[str, ...]:
        """Datasets of the grid."""

    @property
    def default_methods(self) -> tuple[str, ...]:
        """What a run that names no method includes; ``()`` for all that take part in the tier."""

    @property
    def default_seeds(self) -> int:
        """How many repetitions the rules ask for."""

    def plan(self, request: Request) -> Iterable[Trial]:
        """The trials that answer ``request``."""

    def evaluate(self, entries: Sequence[Entry], exam: Exam) -> list[Outcome]:
        """Score what methods handed over: one outcome for each entry.

        Several entries are students of one kind, which may be trained together.
        """

    def studies(self, records: Sequence[Record]) -> Sequence[Study]:
        """The protocol's own tables, beside the one that lists every cell's accuracy.

        Args:
            records: those that count of one dataset under these rules, maybe not all yet.
        """


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One parameter of a method and the values it takes, one after the other."""

    method: str
    parameter: str
    values: tuple[cards.Scalar, ...]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run.

    Attributes:
        methods: entry-point names.
        specs: the datasets by name.
        checksums: of those datasets that have been read before.
        budgets: images per class; ``()`` for the protocol's grid.
        seeds: how many repetitions.
        tracks: which recipes.
        split: ``validation`` scores on held-out training data with the selection seeds.
        changes: parameters changed by the user, per method.
        sweeps: for protocols that sweep; ``()`` for the protocol's own.
        networks: to distil with, for protocols that let the user choose; ``()`` for the protocol's.
        precision: of students' training.
    """

    methods: tuple[str, ...]
    specs: Mapping[str, DatasetSpec]
    checksums: Mapping[str, str]
    budgets: tuple[Budget, ...] = ()
    seeds: int
    tracks: tuple[Track, ...] = ("standard", "native")
    split: Split = "test"
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sweeps: tuple[Sweep, ...] = ()
    networks: tuple[str, ...] = ()
    precision: Precision = "fp32"
    _hashes: dict[int, tuple[Rules, str]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def _hash_of(self, rules: Rules) -> str:
        """The hash of one and the same rules, taken once for all their trials."""
        if id(rules) not in self._hashes:
            self._hashes[id(rules)] = (rules, rules_hash(rules))
        return self._hashes[id(rules)][1]

    def resolve(self, rules: Rules, method: str, dataset: str, budget: Budget) -> cards.Resolved:
        """The parameters that a method gets for ``budget``, with the user's changes."""
        changes = self.changes.get(method)
        return cards.resolve(method, rules.tier, dataset, _distilled_for(budget), changes)

    def trial(
        self,
        rules: Rules,
        *,
        method: str,
        dataset: str,
        budget: Budget,
        track: Track,
        recipe: Recipe,
        network: str,
        architecture: str,
        seed: int,
        merged_seeds: tuple[int, ...] = (),
    ) -> Trial:
        """One trial of ``rules``: presets, the user's changes and the track's recipe resolved.

        Args:
            rules: the protocol at its tier.
            method: entry-point name.
            dataset: one of ``specs``.
            budget: how much the method may hand over; a generator is distilled once for all.
            track: which recipe.
            recipe: the protocol's own recipe; the native track changes it.
            network: what the method distils with.
            architecture: the student.
            seed: of distillation and evaluation alike: a seed is one whole repetition.
            merged_seeds: distillation seeds of further sets for the same student.
        """
        resolved = self.resolve(rules, method, dataset, budget)
        served, budget = budget, _distilled_for(budget)
        distiller = cards.distiller(method)
        recipe, preprocessing = cards.recipe_for(method, track, recipe, rules.tier, dataset, served)
        recipe = replace(_with_main_teacher(recipe, network), precision=self.precision)
        return Trial(
            protocol=rules.name,
            version=rules.version,
            protocol_hash=self._hash_of(rules),
            tier=rules.tier,
            track=track,
            distillation=Distillation(
                method=distiller,
                version=cards.card(distiller).version,
                parameters=resolved.parameters,
                dataset=dataset,
                checksum=self.checksums.get(dataset, ""),
                preprocessing=preprocessing,
                split=self.split,
                budget=budget,
                network=network,
                seed=seed,
            ),
            architecture=architecture,
            recipe=recipe,
            seed=seed,
            deployed=None if served == budget else served,
            merged_seeds=merged_seeds,
            evaluates=None if distiller == method else method,
            preset=resolved.preset,
        )


def _distilled_for(budget: Budget) -> Budget:
    """What is distilled to serve ``budget``: a generator for one image a class serves them all."""
    return Budget("inpc", 1) if budget.kind == "inpc" else budget


def _with_main_teacher(recipe: Recipe, network: str) -> Recipe:
    """The recipe with ``network`` for a teacher that a card calls ``main``."""
    rule = recipe.distillation
    if rule is None or rule.teacher != cards.MAIN:
        return recipe
    return replace(recipe, distillation=replace(rule, teacher=network))


def load_rules(name: str, tier: Tier) -> Rules:
    """The protocol registered as ``name`` at ``tier``.

    Raises:
        UnknownName: no such protocol, or it has no such tier.
        ContractError: what is registered is no mapping of tiers to rules.
    """
    tiers = plugins.load("protocols", name)
    if not isinstance(tiers, Mapping):
        raise ContractError(f"The protocol {name!r} must be a mapping from tier to frozen rules.")
    if tier not in tiers:
        raise UnknownName(f"tier of {name}", tier, tiers)
    rules = tiers[tier]
    if not (is_dataclass(rules) and isinstance(rules, Rules)):
        raise ContractError(
            f"The {tier} tier of the protocol {name!r} must be a frozen dataclass with the members "
            f"of bench.planning.Rules; it is of type {type(rules).__name__}."
        )
    return rules


def rules_hash(rules: Any) -> str:
    """SHA-256 over every field of a protocol's rules."""
    return digest({item.name: _plain(getattr(rules, item.name)) for item in fields(rules)})


def _plain(value: Any) -> Any:
    if isinstance(value, Recipe):
        return value.as_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def choose_seeds(published: Sequence[int], count: int, what: str) -> tuple[int, ...]:
    """The first ``count`` of a protocol's published seeds.

    Raises:
        InvalidValue: more are asked for than are published, or none.
    """
    if not 1 <= count <= len(published):
        raise InvalidValue(f"{what} publishes {len(published)} seeds; --seeds {count} cannot be.")
    return tuple(published[:count])


@dataclass(frozen=True, kw_only=True)
class Job:
    """The trials that share one distillation; done by one worker, one after the other."""

    distillation: Distillation
    trials: tuple[Trial, ...]


def jobs(trials: Iterable[Trial]) -> list[Job]:
    """Group trials by what they train on, without duplicates, in the order given."""
    grouped: dict[str, list[Trial]] = {}
    for trial in {trial.id: trial for trial in trials}.values():
        grouped.setdefault(trial.distillation.key, []).append(trial)
    return [
        Job(distillation=members[0].distillation, trials=tuple(members))
        for members in grouped.values()
    ]
