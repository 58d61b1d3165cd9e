"""Network names: a registered base and modifiers, as in ``convnet-d3-w64-gn-leaky-max``.

=============  ==========================================================================
``w64``        width: channels of every block or of the first stage, or hidden units
``depth3``     how many blocks
``heads4``     attention heads
norm           ``in`` instance, ``bn`` batch, ``gn`` group (4 groups), ``ln`` layer, ``nonorm``
activation     ``relu``, ``sigmoid``, ``leaky`` (slope 0.01), ``swish``
pooling        ``avg``, ``max``, ``nopool``
=============  ==========================================================================

What a name does not mention keeps its default. Reading a name imports neither torch nor the
network; whether a network takes a modifier is checked when it is built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from bench import plugins
from bench.errors import InvalidValue, UnknownName

Norm = Literal["in", "bn", "gn", "ln", "nonorm"]
Activation = Literal["relu", "sigmoid", "leaky", "swish"]
Pooling = Literal["avg", "max", "nopool"]

_NUMBERS = {"width": "w", "depth": "depth", "heads": "heads"}
_CHOICES = {
    "norm": get_args(Norm),
    "activation": get_args(Activation),
    "pooling": get_args(Pooling),
}
_WORDS = {word: keyword for keyword, words in _CHOICES.items() for word in words}
_PREFIXES = {prefix: keyword for keyword, prefix in _NUMBERS.items()}

SPELLINGS: Mapping[str, tuple[str, ...]] = _CHOICES | {
    keyword: (f"{prefix}<number>",) for keyword, prefix in _NUMBERS.items()
}
"""How each modifier is written, by the keyword a network plug-in takes it under."""


@dataclass(frozen=True)
class NetworkName:
    """A name taken apart.

    Attributes:
        base: the registered network.
        modifiers: values by the keyword the network takes them under, such as ``width``.
    """

    base: str
    modifiers: Mapping[str, str | int]


def parse(name: str) -> NetworkName:
    """Take ``name`` apart; the longest registered base wins (``resnet18-ap`` over ``resnet18``).

    Raises:
        UnknownName: no registered network begins the name, or a modifier is none.
        InvalidValue: a modifier is given twice, or a number is 0.
    """
    parts = name.split("-")
    registered = plugins.names("networks")
    for length in range(len(parts), 0, -1):
        base = "-".join(parts[:length])
        if base in registered:
            return NetworkName(base, _modifiers(name, parts[length:]))
    raise UnknownName("network", name, registered)


def _modifiers(name: str, words: list[str]) -> dict[str, str | int]:
    modifiers: dict[str, str | int] = {}
    for word in words:
        keyword, value = _read(word)
        if keyword in modifiers:
            raise InvalidValue(f"Network {name!r} gives its {keyword} twice; keep one.")
        if value == 0:
            raise InvalidValue(f"Network {name!r} has {keyword} 0; give at least 1.")
        modifiers[keyword] = value
    return modifiers


def _read(word: str) -> tuple[str, str | int]:
    if word in _WORDS:
        return _WORDS[word], word
    number = re.fullmatch(r"([a-z]+)([0-9]+)", word)
    if number and number[1] in _PREFIXES:
        return _PREFIXES[number[1]], int(number[2])
    raise UnknownName("network modifier", word, [w for known in SPELLINGS.values() for w in known])
