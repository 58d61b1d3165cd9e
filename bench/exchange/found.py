"""What a reader finds in a file, before anybody has checked that it makes sense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bench.errors import BadFile

if TYPE_CHECKING:
    from bench.exchange.pixel_space import Space
    from bench.specs import Header

RATE_NAMES = ("learning_rate", "lr", "syn_lr")
"""What projects call the learned student learning rate."""

READABLE_TYPES = (
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.uint8,
    torch.int16,
    torch.int32,
    torch.int64,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """Images and labels as stored, and what the format tells about them.

    Attributes:
        layout: which format was recognised, for a human.
        images: as stored: any shape, type and pixel space.
        labels: as stored, or ``None`` where rows are sorted by class.
        learning_rate: the learned student learning rate, if stored.
        space: the pixel space where the format fixes it.
        whitened: whether the surroundings say ZCA: ``True``, ``False``, or ``None`` if silent.
        header: the set's own header, for files that this suite wrote.
        files: the files that were read, for the checksum.
        sets: how many sets the file holds, of which this is one.
        notes: what a human should know, as sentences.
    """

    layout: str
    images: Tensor
    labels: Tensor | None = None
    learning_rate: float | None = None
    space: Space | None = None
    whitened: bool | None = None
    header: Header | None = None
    files: tuple[Path, ...] = ()
    sets: int = 1
    notes: tuple[str, ...] = ()


def from_named(values: Mapping[Any, Any], path: Path, layout: str) -> Found:
    """The set in a mapping with ``images`` and perhaps ``labels`` and a learning rate.

    Raises:
        BadFile: no images, or something that is no plain tensor.
    """
    if "images" not in values:
        names = ", ".join(sorted(str(name)[:40] for name in values)[:8]) or "nothing"
        raise BadFile(
            f"{path} holds {names}, but no 'images'. Give it the tensors 'images' (N, C, H, W) "
            f"and 'labels' (N,) or (N, K); weights of a network are no synthetic set."
        )
    labels = values.get("labels")
    rates = [values[name] for name in RATE_NAMES if values.get(name) is not None]
    return Found(
        layout=layout,
        images=plain_tensor(values["images"], "images", path),
        labels=None if labels is None else plain_tensor(labels, "labels", path),
        learning_rate=learning_rate(rates[0], path) if rates else None,
        files=(path,),
    )


def plain_tensor(value: object, name: str, path: Path) -> Tensor:
    """Return ``value`` if it is an ordinary dense tensor of numbers in memory.

    Raises:
        BadFile: no tensor, or a sparse, quantised, meta, complex or otherwise unusual one.
    """
    if not isinstance(value, Tensor):
        raise BadFile(f"{path}: {name} is no tensor but a {type(value).__name__}.")
    unusual = type(value) not in (Tensor, torch.nn.Parameter) or value.is_quantized
    if unusual or value.layout != torch.strided or value.device.type != "cpu":
        raise BadFile(f"{path}: {name} is no ordinary dense tensor.")
    if value.dtype not in READABLE_TYPES:
        raise BadFile(f"{path}: {name} is {value.dtype}; give float32, uint8 or int64.")
    return value.detach()


def learning_rate(value: object, path: Path) -> float:
    """A stored learning rate, a number or a tensor of one element, as a float.

    Raises:
        BadFile: anything else.
    """
    if isinstance(value, Tensor):
        rate = plain_tensor(value, "the learned learning rate", path)
        value = rate.double().item() if rate.numel() == 1 else None
    if not isinstance(value, float) or not 0 < value < float("inf"):
        raise BadFile(f"{path} holds a learned learning rate that is no positive number.")
    return value
