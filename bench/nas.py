"""Cells of the NAS-Bench-201 space: five operations on six edges, 15,625 in all.

Dong & Yang, ICLR 2020, arXiv:2001.00326. A cell has four nodes: 0 is its input, 3 its output, and
every other node is the sum of its incoming edges. The official text names the operation of each
edge and the node it comes from; the code is its short form, one digit an edge in the same order::

    |nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|    303101

Torch is not imported here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, product

from bench.errors import InvalidValue

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""Each operation's place is its digit in a code."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""From which node to which; in the order of texts and codes."""

INPUT, OUTPUT = 0, 3

CODE = re.compile(f"[0-{len(OPERATIONS) - 1}]{{{len(EDGES)}}}")

_TEXT = re.compile(
    r"\+".join(
        r"\|" + "".join(rf"([a-z0-9_]+)~{source}\|" for source, _ in edges)
        for _, edges in groupby(EDGES, key=lambda edge: edge[1])
    )
)


@dataclass(frozen=True)
class Cell:
    """One architecture of the space.

    Attributes:
        operations: of each of ``EDGES``, a name of ``OPERATIONS``.
    """

    operations: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Cell:
        """Read the official text, such as ``|none~0|+|none~0|none~1|+|none~0|none~1|none~2|``.

        Raises:
            InvalidValue: a text of another form, or an operation that is none of the five.
        """
        match = _TEXT.fullmatch(text)
        if match is None or not set(match.groups()) <= set(OPERATIONS):
            raise InvalidValue(
                f"{text[:200]!r} is no cell of NAS-Bench-201; give |op~0|+|op~0|op~1|+|op~0|op~1|"
                f"op~2| with operations out of {', '.join(OPERATIONS)}."
            )
        return cls(match.groups())

    @classmethod
    def from_code(cls, code: str) -> Cell:
        """Read a code, such as ``303101``.

        Raises:
            InvalidValue: not six digits from 0 to 4.
        """
        if not CODE.fullmatch(code):
            raise InvalidValue(
                f"{code[:20]!r} is no code of a NAS-Bench-201 cell; give six digits from 0 to 4."
            )
        return cls(tuple(OPERATIONS[int(digit)] for digit in code))

    @property
    def code(self) -> str:
        """Six digits, one an edge."""
        return "".join(str(OPERATIONS.index(operation)) for operation in self.operations)

    def __str__(self) -> str:
        """The official text."""
        nodes = groupby(zip(EDGES, self.operations, strict=True), key=lambda pair: pair[0][1])
        return "+".join(
            "|" + "".join(f"{operation}~{source}|" for (source, _), operation in edges)
            for _, edges in nodes
        )

    def incoming(self, node: int) -> list[tuple[int, str]]:
        """Source and operation of each edge into ``node``, sources ascending."""
        edges = zip(EDGES, self.operations, strict=True)
        return [(source, operation) for (source, target), operation in edges if target == node]

    @property
    def reaching(self) -> frozenset[int]:
        """Nodes from which the output can be reached; the output among them."""
        found = {OUTPUT}
        for node in range(OUTPUT, INPUT, -1):
            if node in found:
                found |= {source for source, name in self.incoming(node) if name != "none"}
        return frozenset(found)

    @property
    def connected(self) -> bool:
        """Whether the output depends on the input; if not, accuracy is chance."""
        return INPUT in self.reaching

    @property
    def structure(self) -> str:
        """A text that the space's authors identify isomorphic cells by.

        A skip is its source, and an edge is zero if its operation is ``none`` or its source is one
        zero: 6,466 of the 15,625 cells differ (section 2.1 of the paper). The count hangs on the
        spelling, which is therefore kept: sums sort their terms but not the terms within a term,
        and x + 0 is not x. :attr:`function` has neither weakness.
        """
        spelled = ["0"]
        for node in range(1, OUTPUT + 1):
            terms = []
            for source, name in self.incoming(node):
                if name == "none" or spelled[source] == "#":
                    terms.append("#")
                else:
                    inner = spelled[source]
                    terms.append(inner if name == "skip_connect" else f"({inner})@{name}")
            spelled.append("+".join(sorted(terms)))
        return spelled[OUTPUT]

    @property
    def function(self) -> str:
        """What the output computes, simplified: 4,930 of the 15,625 cells differ; ``""`` is zero.

        Sums are sorted throughout and zeros left out. An operation on zero counts as zero, although
        a trained batch norm may turn it into a constant.
        """
        sums: list[list[str]] = [["x"]]
        for node in range(1, OUTPUT + 1):
            terms: list[str] = []
            for source, name in self.incoming(node):
                if name == "skip_connect":
                    terms += sums[source]
                elif name != "none" and sums[source]:
                    terms.append(f"{name}({' + '.join(sums[source])})")
            sums.append(sorted(terms))
        return " + ".join(sums[OUTPUT])


def every_cell() -> Iterator[Cell]:
    """All 15,625 cells, codes ascending."""
    return map(Cell, product(OPERATIONS, repeat=len(EDGES)))
