"""From the pixel space that a file is in to the one that the evaluation's students see."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.errors import BadFile
from bench.exchange.found import Found
from bench.exchange.pixel_space import SPACES, Evidence, maps_for, objection, stated_map
from bench.exchange.pixel_statistics import measure
from bench.preprocessing import Preprocessing
from bench.specs import DatasetSpec, Header


@dataclass(frozen=True, kw_only=True, eq=False)
class Converted:
    """Images in model-input space, and how they came there.

    Attributes:
        images: ``(N, C, H, W)`` float32 in model-input space.
        space: the space they were stored in, a name of ``SPACES``.
        notes: how that was settled and what was done, as sentences.
    """

    images: Tensor
    space: str
    notes: tuple[str, ...]


def to_model_input(
    found: Found, stated: str, spec: DatasetSpec, preprocessing: Preprocessing, source: str
) -> Converted:
    """Bring images into model-input space.

    Args:
        found: finite images ``(N, C, H, W)`` of the dataset's shape, with what the file says.
        stated: a name of ``SPACES``, or ``auto``.
        spec: the dataset.
        preprocessing: defines model-input space.
        source: names the file in messages.

    Raises:
        BadFile: the pixels, the file and the user contradict each other, or do not settle it.
    """
    if found.header is not None:
        return _by_header(found, found.header, stated, preprocessing, source)
    maps = maps_for(spec, preprocessing)
    evidence = Evidence(
        images=found.images, whitened=found.whitened, maps=maps, spec=spec, source=source
    )
    if found.space is not None:
        space, note = _by_format(found, found.space, stated, source)
    elif stated == "auto":
        space, note = evidence.settle()
    else:
        space, note = stated, evidence.confirm(stated)
    map_, target = maps[space], maps["model-input"]
    notes = [note]
    if map_ is None:
        notes.append("That it is the evaluation's own ZCA matrix was taken on trust.")
    if map_ is None or map_ == target:
        images = found.images.to(torch.float32, copy=True)
    elif space == "bytes" and found.images.dtype == torch.uint8:
        images = preprocessing.forward(found.images)
    else:
        images = preprocessing.encode(map_.to_unit(found.images)).float()
    return Converted(images=images, space=space, notes=tuple(notes))


def _by_format(found: Found, space: str, stated: str, source: str) -> tuple[str, str]:
    if stated not in ("auto", space):
        raise BadFile(
            f"{source} was read as {found.layout}, always {SPACES[space]}, yet {stated!r} is "
            f"stated. Leave --space out."
        )
    return space, f"Pixel space {space!r} ({SPACES[space]}): fixed by the format."


def _by_header(
    found: Found, header: Header, stated: str, preprocessing: Preprocessing, source: str
) -> Converted:
    """Images of a file of our own, whose header names the space."""
    claimed, wanted = header.preprocessing, preprocessing.header()
    if stated not in ("auto", "model-input"):
        raise BadFile(
            f"{source} says that it was preprocessed by {claimed}, yet {stated!r} is stated. "
            f"Leave --space out."
        )
    claimed_map, wanted_map = stated_map(claimed), stated_map(wanted)
    against = objection(claimed_map, measure(found.images))
    if against:
        raise BadFile(f"{source} says that it was preprocessed by {claimed}, but {against}.")
    if claimed == wanted:
        note = "Pixel space 'model-input': stated by the file's header."
        images = found.images.to(torch.float32, copy=True)
        return Converted(images=images, space="model-input", notes=(note,))
    if claimed_map is None or wanted_map is None:
        raise BadFile(
            f"{source} was preprocessed by {claimed}, the evaluation uses {wanted}; ZCA-whitened "
            f"images cannot be converted. Evaluate with the set's own preprocessing."
        )
    images = preprocessing.encode(claimed_map.to_unit(found.images)).float()
    note = f"Re-encoded through [0, 1] pixels, from {claimed} to {wanted}."
    return Converted(images=images, space="model-input", notes=(note,))
