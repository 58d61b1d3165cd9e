"""What a parameter of a method may be: written once, as its type in the adapter.

A type is ``Annotated`` with a :class:`Range` or with :class:`OneOf`, or it is a ``Literal``. Types
that many adapters share stand below. A parameter of a plain type may be anything of that type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from math import inf
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from bench.errors import InvalidValue


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``.

    Attributes:
        low: the smallest number.
        high: the largest.
        above: only numbers above ``low`` are allowed, not ``low`` itself.
        below: only numbers below ``high`` are allowed, not ``high`` itself.
    """

    low: float = -inf
    high: float = inf
    above: bool = False
    below: bool = False

    def allows(self, value: Any) -> bool:
        """Whether ``value`` lies inside; NaN does not."""
        starts = value > self.low if self.above else value >= self.low
        ends = value < self.high if self.below else value <= self.high
        return bool(starts and ends)

    def __str__(self) -> str:
        ends = []
        if self.low > -inf:
            ends.append(f"{'more than' if self.above else 'at least'} {self.low:g}")
        if self.high < inf:
            ends.append(f"{'less than' if self.below else 'at most'} {self.high:g}")
        return " and ".join(ends) or "any number"


@dataclass(frozen=True, init=False)
class OneOf:
    """Some values.

    Attributes:
        values: every one that is allowed.
    """

    values: tuple[Any, ...]

    def __init__(self, values: Iterable[Any]) -> None:
        object.__setattr__(self, "values", tuple(values))

    def allows(self, value: Any) -> bool:
        """Whether ``value`` is one of them."""
        return value in self.values

    def __str__(self) -> str:
        *others, last = map(repr, self.values)
        return f"{', '.join(others)} or {last}" if others else last


Rule = Range | OneOf

Count = Annotated[int, Range(1)]
CountOrZero = Annotated[int, Range(0)]
Rate = Annotated[float, Range(0, above=True)]
RateOrZero = Annotated[float, Range(0)]
Momentum = Annotated[float, Range(0, 1, below=True)]
Share = Annotated[float, Range(0, 1)]
Init = Annotated[str, OneOf(["real", "noise"])]


def check(method: str, adapter: type, values: Mapping[str, Any]) -> None:
    """Refuse values that the adapter's types do not allow.

    Args:
        method: the name that it is registered under.
        adapter: the class whose parameters ``values`` are.
        values: by parameter.

    Raises:
        InvalidValue: the first value that is not allowed, with what is.
    """
    for key, rule in _rules(adapter).items():
        if key in values and not rule.allows(values[key]):
            raise InvalidValue(f"{method}.{key} is {values[key]!r}; give {rule}.")


@cache
def _rules(adapter: type) -> Mapping[str, Rule]:
    """What an adapter says of its parameters; nothing where its types cannot be resolved."""
    try:
        hints = get_type_hints(adapter, include_extras=True)
    except Exception:  # a stranger's types are their own affair
        return MappingProxyType({})
    found = {key: _rule(hint) for key, hint in hints.items()}
    return MappingProxyType({key: rule for key, rule in found.items() if rule is not None})


def _rule(hint: Any) -> Rule | None:
    """What a type allows; ``None`` if it says nothing."""
    if get_origin(hint) is Literal:
        return OneOf(get_args(hint))
    marks = getattr(hint, "__metadata__", ())
    return next((mark for mark in marks if isinstance(mark, Range | OneOf)), None)
