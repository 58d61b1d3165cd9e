"""Network names: a registered base and modifiers, as in ``convnet-d3-w64-gn-leaky-max``.

=============  ==========================================================================
``w64``        width: channels of every block or of the first stage, hidden units, or numbers in
               a token
``depth3``     how many blocks
``heads4``     attention heads
``c16``        channels of the first stage, where a space calls them C
``n5``         cells in each stage, where a space calls them N
``303101``     a cell, by its code (:mod:`bench.nas`)
norm           ``in`` instance, ``bn`` batch, ``gn`` group (4 groups), ``ln`` layer, ``nonorm``
activation     ``relu``, ``sigmoid``, ``leaky`` (slope 0.01), ``swish``
pooling        ``avg``, ``max``, ``nopool``
=============  ==========================================================================

At the end, ``@32`` says that the network sees its images resized to 32 px, whatever they have.

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
from bench.nas import CODE

Norm = Literal["in", "bn", "gn", "ln", "nonorm"]
Activation = Literal["relu", "sigmoid", "leaky", "swish"]
Pooling = Literal["avg", "max", "nopool"]

_NUMBERS = {"width": "w", "depth": "depth", "heads": "heads", "channels": "c", "cells": "n"}
_CHOICES = {
    "norm": get_args(Norm),
    "activation": get_args(Activation),
    "pooling": get_args(Pooling),
}
_WORDS = {word: keyword for keyword, words in _CHOICES.items() for word in words}
_PREFIXES = {prefix: keyword for keyword, prefix in _NUMBERS.items()}

SPELLINGS: Mapping[str, tuple[str, ...]] = (
    _CHOICES
    | {keyword: (f"{prefix}<number>",) for keyword, prefix in _NUMBERS.items()}
    | {"cell": ("<six digits from 0 to 4>",)}
)
"""How each modifier is written, by the keyword a network plug-in takes it under."""


@dataclass(frozen=True)
class NetworkName:
    """A name taken apart.

    Attributes:
        base: the registered network.
        modifiers: values by the keyword the network takes them under, such as ``width``.
        size_px: height and width that images are resized to; ``None`` leaves them as they are.
    """

    base: str
    modifiers: Mapping[str, str | int]
    size_px: int | None = None


def parse(name: str) -> NetworkName:
    """Take ``name`` apart; the longest registered base wins (``resnet18-ap`` over ``resnet18``).

    Raises:
        UnknownName: no registered network begins the name, or a modifier is none.
        InvalidValue: a modifier is given twice, a number is 0, or what follows ``@`` is no size.
    """
    plain, at, size = name.partition("@")
    parts = plain.split("-")
    registered = plugins.names("networks")
    for length in range(len(parts), 0, -1):
        base = "-".join(parts[:length])
        if base in registered:
            size_px = _size(name, size) if at else None
            return NetworkName(base, _modifiers(name, parts[length:]), size_px)
    raise UnknownName("network", plain, registered)


def _size(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise InvalidValue(
            f"Network {name!r} resizes its images to {text!r} px; give a size such as vgg11@32."
        )
    return int(text)


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
    if CODE.fullmatch(word):
        return "cell", word
    number = re.fullmatch(r"([a-z]+)([0-9]+)", word)
    if number and number[1] in _PREFIXES:
        return _PREFIXES[number[1]], int(number[2])
    raise UnknownName("network modifier", word, [w for known in SPELLINGS.values() for w in known])
