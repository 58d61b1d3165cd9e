"""Which tables a user asks for: checked before any table is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bench.errors import UnknownName
from bench.specs import Budget
from bench.trials import TIERS, TRACKS
from leaderboard.tables import TableKey

FACETS: dict[str, Callable[[TableKey], str]] = {
    "protocol": lambda key: key.protocol,
    "tier": lambda key: key.tier,
    "track": lambda key: key.track,
    "dataset": lambda key: key.dataset,
    "budget": lambda key: str(key.budget),
}
"""What may be asked of a table."""


@dataclass(frozen=True)
class Choice:
    """What tables are to be of.

    Attributes:
        asked: values by facet, in the order of :data:`FACETS`; facets that may be anything are
            left out.
    """

    asked: Mapping[str, str]

    @classmethod
    def of(cls, **given: str | None) -> Choice:
        """What options say, checked as far as that takes no records.

        Raises:
            UnknownName: there is no such tier or track.
            InvalidValue: no budget is written like that.
        """
        asked = {kind: value for kind in FACETS if (value := given.get(kind)) is not None}
        for kind, known in (("tier", TIERS), ("track", TRACKS)):
            if kind in asked and asked[kind] not in known:
                raise UnknownName(kind, asked[kind], known)
        if "budget" in asked:
            asked["budget"] = str(Budget.parse(asked["budget"]))
        return cls(asked)

    def holds(self, key: TableKey) -> bool:
        """Whether a table is asked for."""
        return all(FACETS[kind](key) == value for kind, value in self.asked.items())

    def require(self, keys: Iterable[TableKey]) -> None:
        """Check that one of these tables is asked for.

        Raises:
            UnknownName: none is; the message says what there is instead.
        """
        left = list(keys)
        for kind, value in self.asked.items():
            known = {FACETS[kind](key) for key in left}
            if value not in known:
                raise UnknownName(f"{kind} with records", value, known)
            left = [key for key in left if FACETS[kind](key) == value]
