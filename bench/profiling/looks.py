"""How closely a forecast looks: at all that is published, or fast enough for a thousand cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bench.profiling.rules import ProfileRules


class Length(NamedTuple):
    """A parameter along which work grows in a straight line.

    Attributes:
        key: its name.
        short: a value that is run.
        long: another; beyond it work is extended along the line through both.
        keeps: whether memory grows along that line too; if not, that of ``long`` stands.
    """

    key: str
    short: int
    long: int
    keeps: bool = False


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is run of a phase; the rest follows from it.

    Attributes:
        rounds: of a loop whose rounds differ by what augmentations draw (:mod:`~.rounds`).
        lengths: what is extended beside the rules' own; takes their place where it names the same.
        excerpt: real images that are walked over; ``None`` for as many as the rules say.
        warms: whether steps of distillation, and phases of one step, are done once before they
            count. If not, what the first leaves behind is added to its peak: the second would find
            it there. That is too much by what a step frees before it allocates.
    """

    rounds: int
    lengths: tuple[Length, ...] = ()
    excerpt: int | None = None
    warms: bool = True

    def all_lengths(self, rules: ProfileRules) -> tuple[Length, ...]:
        """The rules' lengths and the look's own."""
        named = {key: Length(key, short, long) for key, short, long in rules.lengths}
        return tuple((named | {length.key: length for length in self.lengths}).values())


CLOSE = Look(rounds=128)
"""For profiles: what is published."""

GLANCE = Look(
    rounds=5,
    lengths=(
        Length("inner_epochs", 1, 6),
        Length("student_epochs", 5, 10),
        Length("matching_steps", 3, 6, keeps=True),
    ),
    excerpt=1024,
    warms=False,
)
"""For plans, which sum many cells: within some per cent of a close look (docs/profile.md)."""
