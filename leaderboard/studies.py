"""The tables that protocols make of their own records, beside the tables of cells.

Only the rules that the records were made under may speak for them: records of another version or
hash than the installed one get their tables of cells and nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.records import Record
from bench.studies import Study
from bench.trials import Tier
from leaderboard.installed import LoadRules, installed_rules
from leaderboard.tables import Table, TableKey, counted


@dataclass(frozen=True, kw_only=True)
class Section:
    """What one protocol says of one dataset.

    Attributes:
        protocol: the protocol's name.
        version: of the protocol.
        protocol_hash: of its rules.
        tier: how much compute.
        dataset: the dataset's name.
        checksum: of its data.
        studies: the tables.
    """

    protocol: str
    version: int
    protocol_hash: str
    tier: Tier
    dataset: str
    checksum: str
    studies: tuple[Study, ...]

    @property
    def title(self) -> str:
        """``cross-arch v1, quick tier: digits``."""
        return f"{self.protocol} v{self.version}, {self.tier} tier: {self.dataset}"

    def tells_of(self, key: TableKey) -> bool:
        """Whether the cells of a table are among those that these tables are made of."""
        rules = (key.protocol, key.version, key.protocol_hash, key.tier)
        ours = (self.protocol, self.version, self.protocol_hash, self.tier)
        return (*rules, key.dataset, key.checksum) == (*ours, self.dataset, self.checksum)

    def warnings(self, found: Iterable[Table]) -> list[str]:
        """What is to be said of rules or data that share a name with these, each sentence once."""
        ours = (table for table in found if self.tells_of(table.key))
        return list(dict.fromkeys(warning for table in ours for warning in table.warnings))


def sections(records: Iterable[Record], rules: LoadRules | None = None) -> list[Section]:
    """What protocols with tables of their own say of these records, in a fixed order.

    Args:
        records: any records.
        rules: finds a protocol's rules; the installed ones unless given.
    """
    load = rules or installed_rules
    groups: dict[tuple[str, int, str, Tier, str, str], list[Record]] = defaultdict(list)
    for record in counted(records):
        where = record.trial
        rule = (where.protocol, where.version, record.protocol_hash, where.tier)
        groups[*rule, where.dataset, record.dataset.checksum].append(record)
    found = []
    for (name, version, digest, tier, dataset, checksum), members in sorted(groups.items()):
        judge = load(name, version, digest, tier)
        studies = tuple(judge.studies(members)) if judge else ()
        if studies:
            found.append(
                Section(
                    protocol=name,
                    version=version,
                    protocol_hash=digest,
                    tier=tier,
                    dataset=dataset,
                    checksum=checksum,
                    studies=studies,
                )
            )
    return found


def beside(found: Iterable[Table], told: Iterable[Section]) -> list[Section]:
    """The sections that tell of the cells of some of these tables."""
    keys = [table.key for table in found]
    return [section for section in told if any(map(section.tells_of, keys))]


def without(found: Iterable[Table], told: Sequence[Section]) -> list[Table]:
    """The tables whose rules have no tables of their own for the same data."""
    return [table for table in found if not any(section.tells_of(table.key) for section in told)]
