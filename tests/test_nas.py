"""Cells of NAS-Bench-201: texts, codes, and which of them are the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from bench.errors import InvalidValue
from bench.nas import EDGES, OPERATIONS, Cell, every_cell

CELLS = list(every_cell())
RESNET = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"


def test_the_space_has_15625_cells_each_once() -> None:
    assert len(set(CELLS)) == len(CELLS) == 15_625
    assert [cell.code for cell in CELLS] == sorted(cell.code for cell in CELLS)


def test_every_text_and_every_code_is_read_as_it_was_printed() -> None:
    for cell in CELLS:
        assert Cell.parse(str(cell)) == Cell.from_code(cell.code) == cell


def test_texts_are_those_of_the_space() -> None:
    """Written out node by node, without the module's own printing."""
    edges = [[f"{operation}~{source}" for operation in OPERATIONS] for source in range(3)]
    nodes = [
        ["|" + "|".join(chosen) + "|" for chosen in product(*edges[: node + 1])]
        for node in range(3)
    ]
    expected = {"+".join(parts) for parts in product(*nodes)}
    assert {str(cell) for cell in CELLS} == expected


def test_a_code_has_a_digit_an_edge_in_the_order_of_the_text() -> None:
    assert Cell.parse(RESNET).code == "303101"
    assert str(Cell.from_code("303101")) == RESNET
    assert Cell.from_code("012340").operations == (*OPERATIONS, "none")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "303101",
        RESNET[:-1],
        RESNET + "\n",
        RESNET.replace("none", "max_pool_3x3", 1),
        RESNET.replace("skip_connect~2", "skip_connect~1"),
        RESNET.replace("+|none~0|nor_conv_3x3~1|", ""),
    ],
)
def test_a_text_that_is_no_cell_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"no cell of NAS-Bench-201; give \|op~0\|"):
        Cell.parse(text)


@pytest.mark.parametrize(
    "code", ["", "30310", "3031010", "303105", "30310x", "303101\n", "\uff1303101"]
)
def test_a_code_that_is_no_cell_is_refused(code: str) -> None:
    with pytest.raises(InvalidValue, match="give six digits from 0 to 4"):
        Cell.from_code(code)


def test_the_paper_counts_6466_structures() -> None:
    """Section 2.1 of arXiv:2001.00326."""
    assert len({cell.structure for cell in CELLS}) == 6_466


def numerically(cell: Cell, x: np.ndarray) -> tuple[float, ...]:
    """The output of a cell whose operations are fixed nonlinear maps with f(0) = 0."""
    maps: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "none": np.zeros_like,
        "skip_connect": lambda value: value,
        "nor_conv_1x1": lambda value: np.sin(1.7 * value),
        "nor_conv_3x3": lambda value: np.tanh(0.9 * value) * 1.3,
        "avg_pool_3x3": lambda value: np.expm1(-0.6 * value),
    }
    nodes = [x, *(np.zeros_like(x) for _ in range(3))]
    for (source, target), operation in zip(EDGES, cell.operations, strict=True):
        nodes[target] = nodes[target] + maps[operation](nodes[source])
    return tuple(np.round(nodes[3], 9).tolist())


def test_cells_have_one_function_exactly_if_they_compute_the_same() -> None:
    x = np.array([0.31, -0.83, 1.27])
    computed: dict[str, set[tuple[float, ...]]] = defaultdict(set)
    for cell in CELLS:
        computed[cell.function].add(numerically(cell, x))
    assert all(len(outputs) == 1 for outputs in computed.values())
    assert len(set().union(*computed.values())) == len(computed) == 4_930


def test_cells_of_one_structure_have_one_function() -> None:
    functions: dict[str, set[str]] = defaultdict(set)
    for cell in CELLS:
        functions[cell.structure].add(cell.function)
    assert {len(found) for found in functions.values()} == {1}


def test_a_cell_is_cut_off_exactly_if_no_chain_of_edges_leads_from_input_to_output() -> None:
    paths = [[3], [0, 4], [1, 5], [0, 2, 5]]  # as places in EDGES
    for cell in CELLS:
        open_edges = [operation != "none" for operation in cell.operations]
        assert cell.connected == any(all(open_edges[edge] for edge in path) for path in paths)
        assert cell.connected == (cell.function != "")


@pytest.mark.parametrize(
    ("one", "other", "same_structure"),
    [
        ("000300", "100030", True),  # straight, and by a skip
        ("130011", "310011", False),  # sums in another order: the official text sees a difference
        ("000300", "010003", False),  # x + 0 for x: likewise
    ],
)
def test_cells_of_one_function(one: str, other: str, same_structure: bool) -> None:
    cells = Cell.from_code(one), Cell.from_code(other)
    assert cells[0].function == cells[1].function != ""
    assert (cells[0].structure == cells[1].structure) == same_structure
