"""Discrete cells of NAS-Bench-201 in the skeleton of its paper.

Dong & Yang, ICLR 2020, arXiv:2001.00326 (section 2.1, figure 1). ``nas201-c8-n1-034210`` has cell
034210 (:mod:`bench.nas`) once in each of its three stages, whose channels are 8, 16 and 32. Without
modifiers it has the paper's 16 channels, 5 cells a stage and the cell that the authors call ResNet.

Differs: edges that cannot reach a cell's output are not computed. They are there, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from bench.errors import NotApplicable
from bench.nas import INPUT, OUTPUT, Cell
from bench.networks.network import Network, TooSmall
from bench.specs import DatasetSpec

RESNET = "303101"
STAGES = 3
SMALLEST_PX = 8  # three stages end at 2 px; batch norm cannot train on one image of one pixel


def _relu_conv_norm(inside: int, outside: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inside, outside, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outside),
    )


def _operation(name: str, channels: int) -> nn.Module:
    """An edge's operation on ``(N, channels, H, W)``, other than ``none``."""
    if name == "nor_conv_1x1":
        return _relu_conv_norm(channels, channels, 1)
    if name == "nor_conv_3x3":
        return _relu_conv_norm(channels, channels, 3)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return nn.Identity()


class Node(nn.Module):
    """The sum of a node's incoming edges, of which those with ``none`` are left out.

    Args:
        edges: source and operation of each.
        channels: of the maps.
    """

    def __init__(self, edges: Iterable[tuple[int, str]], channels: int) -> None:
        super().__init__()
        there = [(source, name) for source, name in edges if name != "none"]
        self.sources = [source for source, _ in there]
        self.operations = nn.ModuleList(_operation(name, channels) for _, name in there)

    def forward(self, nodes: Sequence[Tensor]) -> Tensor:
        """The values of the nodes before it to its own, all of one shape."""
        edges = zip(self.sources, self.operations, strict=True)
        terms = [operation(nodes[source]) for source, operation in edges]
        return reduce(torch.add, terms) if terms else torch.zeros_like(nodes[INPUT])


class CellLayer(nn.Module):
    """A cell on maps of a fixed number of channels."""

    def __init__(self, cell: Cell, channels: int) -> None:
        super().__init__()
        self.reaching = cell.reaching
        self.nodes = nn.ModuleList(
            Node(cell.incoming(number), channels) for number in range(1, OUTPUT + 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        values = [x]
        for number, node in enumerate(self.nodes, start=1):
            values.append(node(values) if number in self.reaching else torch.zeros_like(x))
        return values[OUTPUT]


class Reduction(nn.Module):
    """The residual block between two stages: half the size, twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _relu_conv_norm(channels, 2 * channels, 3, stride=2),
            _relu_conv_norm(2 * channels, 2 * channels, 3),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(channels, 2 * channels, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, 2·C, H/2, W/2)``."""
        return torch.add(self.shortcut(x), self.residual(x))


def nas201(spec: DatasetSpec, *, channels: int = 16, cells: int = 5, cell: str = RESNET) -> Network:
    """Stem, three stages of ``cells`` cells with reductions between them, global average.

    Args:
        spec: the images and classes.
        channels: of the first stage, C; each later stage has twice as many.
        cells: in each stage, N.
        cell: its code.

    Raises:
        NotApplicable: images below 8 px, or of a size that cannot be halved twice.
    """
    if spec.size_px < SMALLEST_PX:
        raise TooSmall("A NAS-Bench-201 network", SMALLEST_PX, spec)
    if spec.size_px % 2 ** (STAGES - 1):
        raise NotApplicable(
            f"A NAS-Bench-201 network halves its maps twice, but {spec.name} has "
            f"{spec.size_px} px; resize the images to a multiple of 4 px."
        )
    structure = Cell.from_code(cell)
    layers: list[nn.Module] = [
        nn.Conv2d(spec.channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
    ]
    for stage in range(STAGES):
        if stage:
            layers.append(Reduction(channels))
            channels *= 2
        layers += [CellLayer(structure, channels) for _ in range(cells)]
    layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return Network(nn.Sequential(*layers), channels, spec.num_classes)
