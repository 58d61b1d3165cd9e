"""How much of each protocol's own grid stands in the results, and the command for what does not."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from bench import cards, planning, plugins
from bench.errors import BenchError, UnknownName
from bench.planning import Rules
from bench.records import FINAL, Record
from bench.runner import Options, plan
from bench.specs import Budget
from bench.trials import Tier, Trial
from leaderboard.tables import counted

Place = tuple[str, Budget]
"""A dataset, and what students get."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One dataset with one budget of a protocol's own grid, and how far each method is there.

    Attributes:
        protocol: the protocol's name.
        version: of the installed rules.
        tier: how much compute.
        dataset: the dataset's name.
        budget: what students get, of merged sets and generators as well.
        planned: trials that the rules plan, by method.
        recorded: those of them that stand in the results, by method.
        command: what does the rest, ``""`` where nothing is left. Where no budget asks for this
            cell alone it does all of the dataset.
    """

    protocol: str
    version: int
    tier: Tier
    dataset: str
    budget: Budget
    planned: Mapping[str, int]
    recorded: Mapping[str, int]
    command: str

    @property
    def complete(self) -> tuple[str, ...]:
        """Methods of which every trial stands."""
        return tuple(name for name, count in self.planned.items() if self.recorded[name] == count)

    @property
    def missing(self) -> tuple[str, ...]:
        """Methods of which a trial or more is missing."""
        return tuple(name for name, count in self.planned.items() if self.recorded[name] < count)


def coverage(
    records: Iterable[Record], tiers: Mapping[str, Iterable[Tier]], dataset: str | None = None
) -> list[Cell]:
    """Compare what the installed protocols plan with what stands.

    Every installed method that takes part in a tier is expected, in the cells that the rules plan
    for it unasked; of protocols that sweep parameters those that they sweep. Records of other
    rules, parameters or data do not count: they answer something else.

    Args:
        records: any records.
        tiers: which ones, by protocol.
        dataset: the only one that is asked for.

    Raises:
        UnknownName: no such protocol or tier, or none of the grids has the dataset.
    """
    standing = {record.id for record in counted(records) if record.status in FINAL}
    grids = [planning.load_rules(name, tier) for name, wanted in tiers.items() for tier in wanted]
    known = {name for rules in grids for name in rules.default_datasets}
    if dataset is not None and dataset not in known:
        raise UnknownName("dataset in these grids", dataset, known)
    return [cell for rules in grids for cell in _cells(rules, standing, dataset)]


def tiers_of(
    records: Iterable[Record], protocol: str | None = None, tier: str | None = None
) -> dict[str, list[Tier]]:
    """Tiers by protocol: those asked for; with no tier asked for those that have records.

    Raises:
        UnknownName: no such protocol, or none of the protocols has such a tier.
    """
    names = plugins.names("protocols")
    if protocol is not None and protocol not in names:
        raise UnknownName("protocol", protocol, names)
    installed = {
        name: list(plugins.load("protocols", name)) for name in names if protocol in (None, name)
    }
    known = {name for tiers in installed.values() for name in tiers}
    if tier is not None and tier not in known:
        raise UnknownName("tier", tier, known)
    begun = {(record.trial.protocol, record.trial.tier) for record in records}
    return {
        name: [one for one in tiers if (tier == one if tier else (name, one) in begun)]
        for name, tiers in installed.items()
    }


def _cells(rules: Rules, standing: set[str], only: str | None) -> Iterator[Cell]:
    names = tuple(name for name in rules.default_datasets if only in (None, name))
    cells: dict[Place, dict[str, set[str]]] = defaultdict(dict)
    for asked in _methods(rules) if names else ():
        for (method, dataset, budget), trials in _planned(rules, asked, names).items():
            cells[dataset, budget].setdefault(method, set()).update(trials)
    for (dataset, budget), methods in sorted(cells.items()):
        missing = {name: trials for name, trials in methods.items() if trials - standing}
        yield Cell(
            protocol=rules.name,
            version=rules.version,
            tier=rules.tier,
            dataset=dataset,
            budget=budget,
            planned={name: len(trials) for name, trials in methods.items()},
            recorded={name: len(trials & standing) for name, trials in methods.items()},
            command=_command(rules, dataset, budget, missing) if missing else "",
        )


def _command(rules: Rules, dataset: str, budget: Budget, missing: Mapping[str, set[str]]) -> str:
    words = ["bench", "run", "--protocol", rules.name, "--tier", rules.tier]
    words += ["--dataset", dataset, "--method", ",".join(missing)]
    name, trials = next(iter(missing.items()))  # rules treat methods alike
    asked = _planned(rules, name, (dataset,), (budget,))
    own = {trial for (method, *_), found in asked.items() if method == name for trial in found}
    if budget.kind != "full" and own == trials:
        words += ["--budget", budget.word]
    return shlex.join(words)


def _methods(rules: Rules) -> tuple[str, ...]:
    if "sweeps" in getattr(rules, "heeds", frozenset()):
        return rules.default_methods
    return cards.methods_of(rules.tier)


def _planned(
    rules: Rules, method: str, names: tuple[str, ...], budgets: tuple[Budget, ...] = ()
) -> dict[tuple[str, str, Budget], set[str]]:
    """Ids of the trials that a run of a method plans, by method, dataset and budget.

    Rules may add trials of other methods, to hold it against. There are none where they refuse it.
    """
    options = Options(
        protocol=rules.name,
        tier=rules.tier,
        methods=(method,),
        datasets=names,
        budgets=budgets,
        fresh=True,  # what stands is in the results, not in a store
    )
    trials: dict[tuple[str, str, Budget], set[str]] = defaultdict(set)
    try:
        for trial in plan(options, read_data=False).trials:
            trials[trial.method, trial.distillation.dataset, _students(trial)].add(trial.id)
    except BenchError:  # not a method for these rules
        return {}
    return trials


def _students(trial: Trial) -> Budget:
    """What a trial's student gets of all sets together."""
    return replace(trial.budget, count=trial.budget.count * len(trial.sources))
