"""Eight-bit pictures of single images, decoded only when their header fits the dataset."""

from __future__ import annotations

import io
import warnings
from typing import IO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.errors import BadFile
from bench.specs import DatasetSpec

_MODES = {"1", "L", "P", "RGB"}
_MAX_GREY_DIFFERENCE = 8
"""Grey levels by which JPEG may tint a grey image that was saved in colour."""


def decode(source: IO[bytes], name: str, spec: DatasetSpec) -> Tensor:
    """One PNG or JPEG as ``(C, H, W)`` uint8; nothing is resized.

    Raises:
        BadFile: no such picture, of another size, with an alpha channel or more than 8 bits, or
            coloured where the dataset is grey.
    """
    side = spec.size_px
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(source, formats=("PNG", "JPEG")) as picture:
                if picture.size != (side, side):
                    width, height = picture.size
                    raise BadFile(
                        f"{name} is {width}×{height} pixels; {spec.name} has {side}×{side}. "
                        f"Nothing is resized here, as that would change the set."
                    )
                if picture.mode not in _MODES:
                    raise BadFile(f"{name} has mode {picture.mode}; give 8-bit grey or RGB.")
                colour = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
    except BadFile:
        raise
    except Exception as error:  # a hostile picture may break its decoder in any way
        raise BadFile(f"{name} is no readable PNG or JPEG ({type(error).__name__}).") from error
    return colour if spec.channels == 3 else _grey(colour, name, spec)


def encode_png(pixels: Tensor) -> bytes:
    """``(C, H, W)`` uint8 as a PNG."""
    array = pixels.permute(1, 2, 0).numpy()
    picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


def _grey(colour: Tensor, name: str, spec: DatasetSpec) -> Tensor:
    spread = colour.amax(0).int() - colour.amin(0).int()
    if int(spread.max()) > _MAX_GREY_DIFFERENCE:
        raise BadFile(f"{name} is in colour; {spec.name} is grey.")
    return colour.float().mean(0, keepdim=True).round().byte()
