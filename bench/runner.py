"""Plan a run, do what is not done yet, and record every outcome.

The plan needs no torch: a run that finds everything done answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import cards, datasets, networks
from bench.errors import InvalidValue, MissingData, NotApplicable
from bench.planning import Job, Request, Rules, Sweep, jobs, load_rules
from bench.recipes import Precision
from bench.records import Record
from bench.specs import Budget, DatasetSpec
from bench.store import Store
from bench.trials import TRACKS, Split, Tier, Track, Trial

if TYPE_CHECKING:
    from bench.estimates import Estimates
    from bench.evaluation import Choice
    from bench.worker import Event


@dataclass(frozen=True, kw_only=True)
class Options:
    """What ``bench run`` was asked for.

    Attributes:
        protocol: entry-point name.
        tier: how much compute.
        methods: entry-point names; ``()`` for those swept, the protocol's, or all that take part
            in the tier.
        datasets: names or ``name=path``; ``()`` for the protocol's.
        budgets: ``()`` for the protocol's.
        seeds: repetitions; ``None`` for the protocol's.
        tracks: which recipes.
        split: ``test``, or ``validation`` for choices.
        changes: changed parameters, per method.
        sweeps: parameters to sweep; ``()`` for the protocol's.
        networks: what to distil with; ``()`` for the protocol's.
        precision: of students' training; other than ``fp32`` once it is shown equivalent.
        strategy: how students are trained (:mod:`bench.evaluation.engine`).
        store: where everything is kept.
        data_root: where real data lie.
        device: ``auto``, ``cpu``, ``cuda`` …
        executor: ``local`` or ``ray``.
        jobs: worker processes; ``None`` for one a core on the CPU and one a GPU.
        ray_address: the Ray cluster; ``None`` for one that is started here and ends with the run.
        timeout: seconds after which an expert, a distillation or a student is given up.
        fresh: do everything again.
    """

    protocol: str
    tier: Tier = "quick"
    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    budgets: tuple[Budget, ...] = ()
    seeds: int | None = None
    tracks: tuple[Track, ...] = TRACKS
    split: Split = "test"
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sweeps: tuple[Sweep, ...] = ()
    networks: tuple[str, ...] = ()
    precision: Precision = "fp32"
    strategy: Choice = "auto"
    store: Path = Path("runs")
    data_root: Path | None = None
    device: str = "auto"
    executor: str = "local"
    jobs: int | None = None
    ray_address: str | None = None
    timeout: float | None = None
    fresh: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will do.

    Attributes:
        options: what was asked for.
        rules: the protocol at its tier.
        trials: every trial, without duplicates.
        done: records of those trials whose outcome stands already.
        shared: trials whose student another track has trained already, with that record.
        jobs: what is left to do.
        references: for each dataset the text that loads it.
    """

    options: Options
    rules: Rules
    trials: tuple[Trial, ...]
    done: Mapping[str, Record]
    shared: tuple[tuple[Trial, Record], ...]
    jobs: tuple[Job, ...]
    references: Mapping[str, str]


def plan(options: Options, *, read_data: bool = True) -> Plan:
    """Resolve names, presets and seeds; find out what is done.

    Args:
        options: what was asked for.
        read_data: read datasets that have never been read here, to know their checksums; else they
            are taken for what was published, where that is known.

    Raises:
        UnknownName: a protocol, method, dataset, network or parameter that does not exist.
        MissingData: a dataset, or what the rules need beside it, is not on this machine.
        InvalidValue: a value outside what is allowed, a wish that the protocol has no room for, or
            a strategy that cannot train one of the students.
    """
    rules = load_rules(options.protocol, options.tier)
    _check_wishes(options, rules)
    references = _references(options, rules)
    request = Request(
        methods=options.methods or _swept(options.sweeps) or _methods_of(rules),
        specs={name: spec for name, (_, spec) in references.items()},
        checksums={
            name: _checksum(text, options, read_data) for name, (text, _) in references.items()
        },
        budgets=options.budgets,
        seeds=rules.default_seeds if options.seeds is None else options.seeds,
        tracks=options.tracks,
        split=options.split,
        changes=options.changes,
        sweeps=options.sweeps,
        networks=options.networks,
        precision=options.precision,
    )
    trials = tuple({trial.id: trial for trial in rules.plan(request)}.values())
    _check_planned(request, rules, trials)
    if options.precision != "fp32":
        _check_precision(trials, options)
    standing = {} if options.fresh else Store(options.store).done()
    done = {trial.id: standing[trial.id] for trial in trials if trial.id in standing}
    trained = {trial.evaluation_key: done[trial.id] for trial in trials if trial.id in done}
    left = [trial for trial in trials if trial.id not in done]
    if options.strategy != "auto":
        _check_strategy(left, options, request.specs)
    if left and read_data and hasattr(rules, "require"):
        rules.require(request.specs, options.data_root)
    return Plan(
        options=options,
        rules=rules,
        trials=trials,
        done=done,
        shared=tuple((t, trained[t.evaluation_key]) for t in left if t.evaluation_key in trained),
        jobs=tuple(jobs(trial for trial in left if trial.evaluation_key not in trained)),
        references={name: text for name, (text, _) in references.items()},
    )


def _check_wishes(options: Options, rules: Rules) -> None:
    """What a protocol has no room for is refused: ignored, it would pass for done."""
    heeds: frozenset[str] = getattr(rules, "heeds", frozenset())
    for wish, option in (("sweeps", "--sweep"), ("networks", "--network")):
        if getattr(options, wish) and wish not in heeds:
            raise InvalidValue(f"{rules.name} takes no {option}; leave it out.")
    for name in options.networks:
        networks.parse(name)


def _check_planned(request: Request, rules: Rules, trials: Sequence[Trial]) -> None:
    """A request that plans nothing would pass for done, and so would a change of nothing."""
    if not trials:
        raise InvalidValue(
            f"{rules.name} has nothing to do for {', '.join(request.methods)} with what was asked; "
            f"`bench list methods` shows which budgets a method takes."
        )
    planned = {trial.method for trial in trials} | {t.distillation.method for t in trials}
    for name in request.changes:
        if name not in planned:
            raise InvalidValue(
                f"--set changes {name}, which this run does not include; add --method {name}."
            )


def _check_precision(trials: Sequence[Trial], options: Options) -> None:
    from bench.environment import choose_device, describe
    from bench.equivalence import require

    require(trials, options.store, describe(choose_device(options.device)))


def _check_strategy(
    trials: Sequence[Trial], options: Options, specs: Mapping[str, DatasetSpec]
) -> None:
    """A strategy that cannot train a student of the plan is refused before there is any work."""
    from bench.environment import choose_device
    from bench.evaluation.engine import check_networks

    device = choose_device(options.device)
    for dataset, *names in {_students_networks(trial) for trial in trials}:
        with suppress(NotApplicable):  # it is recorded as the trial's outcome
            check_networks(options.strategy, names, specs[dataset], device)


def _students_networks(trial: Trial) -> tuple[str, ...]:
    """A trial's dataset, its student's network, and its teacher's where there is one."""
    teacher = trial.recipe.distillation
    return (
        trial.distillation.dataset,
        trial.architecture,
        *([teacher.teacher] if teacher else []),
    )


def _swept(sweeps: Sequence[Sweep]) -> tuple[str, ...]:
    """The methods of which something is swept."""
    return tuple(dict.fromkeys(sweep.method for sweep in sweeps))


def _methods_of(rules: Rules) -> tuple[str, ...]:
    """The protocol's own choice, or every method that takes part in its tier unnamed."""
    return rules.default_methods or cards.methods_of(rules.tier)


def _references(options: Options, rules: Rules) -> dict[str, tuple[str, DatasetSpec]]:
    """For each dataset's name the text that loads it, and its spec.

    Raises:
        InvalidValue: two texts for one name, of which only one could be run.
    """
    found: dict[str, tuple[str, DatasetSpec]] = {}
    for text in options.datasets or rules.default_datasets:
        spec = datasets.describe(text, data_root=options.data_root)
        first, _ = found.setdefault(spec.name, (text, spec))
        if first != text:
            raise InvalidValue(
                f"--dataset gives {spec.name} twice, as {first!r} and as {text!r}; "
                f"give each dataset a name of its own."
            )
    return found


def _checksum(reference: str, options: Options, read_data: bool) -> str:
    facts = datasets.facts(reference, data_root=options.data_root)
    if facts.checksum is not None:
        return facts.checksum
    if not read_data:
        return facts.published or ""
    if facts.missing:
        raise MissingData(facts.missing)
    datasets.load(reference, data_root=options.data_root)
    return datasets.facts(reference, data_root=options.data_root).checksum or ""


def execute(
    plan: Plan, handle: Callable[[Event], None], estimates: Estimates | None = None
) -> list[Record]:
    """Do what is left of a plan; every outcome is recorded before ``handle`` sees it.

    Args:
        plan: what to do.
        handle: called with progress and outcomes, in this process.
        estimates: how long work takes, so that several workers begin with the longest.

    Returns:
        The new records, in the order in which trials ended.

    Raises:
        StoreError: another run holds the store, or it cannot be written.
        BenchError: something else that the user must put right; finished trials stand.
    """
    if not (plan.shared or plan.jobs):
        return []
    store = Store(plan.options.store)
    with store.lock():
        plan = _looked_over(plan, store)
        new = [store.share(record, trial) for trial, record in plan.shared]
        if plan.jobs:
            _do(plan, store, new, handle, estimates)
    return new


def _looked_over(plan: Plan, store: Store) -> Plan:
    """The plan without what another run has done since it was made."""
    if plan.options.fresh:
        return plan
    standing = store.done()
    left = (trial for job in plan.jobs for trial in job.trials if trial.id not in standing)
    shared = tuple((trial, record) for trial, record in plan.shared if trial.id not in standing)
    return replace(plan, jobs=tuple(jobs(left)), shared=shared)


def _do(
    plan: Plan,
    store: Store,
    new: list[Record],
    handle: Callable[[Event], None],
    estimates: Estimates | None,
) -> None:
    """Do the jobs of a plan; records are added to ``store`` and ``new``."""
    from bench.executors.dispatch import dispatch
    from bench.worker import Finished

    def record(events: Sequence[Event]) -> None:
        ended = [event for event in events if isinstance(event, Finished)]
        if ended:
            store.extend((event.record, event.correct) for event in ended)
        new.extend(event.record for event in ended)
        for event in events:
            handle(event)

    dispatch(plan, record, estimates)


def failures(records: Sequence[Record]) -> list[Record]:
    """Records of trials that ran and went wrong; a skipped trial did not."""
    return [record for record in records if record.status not in ("ok", "skipped")]
