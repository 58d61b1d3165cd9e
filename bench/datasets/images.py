"""Decoding images that strangers made: bounded in bytes, in pixels and in formats."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bench.datasets.arrays import allocate
from bench.datasets.dataset import Part
from bench.datasets.parsing import check_encoded_size, parsing
from bench.errors import BadFile

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
"""What Pillow may decode; the formats that call other programs are left out."""

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp")

MAX_PIXELS = 4096**2
"""No image with more pixels is decoded."""

GRAY_MODES = ("1", "L", "LA")
COLOUR_MODES = ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


@dataclass(frozen=True)
class Encoded:
    """One image as its file holds it.

    Attributes:
        data: the encoded bytes.
        label: its class.
        where: file and row, for messages.
    """

    data: bytes
    label: int
    where: str


class Collection(Protocol):
    """Encoded images in a fixed order, read anew at each pass."""

    def __len__(self) -> int:
        """How many images there are."""

    def __iter__(self) -> Iterator[Encoded]:
        """Go through them once."""


@dataclass(frozen=True)
class Survey:
    """What the image headers of a collection say.

    Attributes:
        channels: 1 if every image is grey, else 3.
        sizes: every ``(width, height)`` that occurs.
    """

    channels: int
    sizes: frozenset[tuple[int, int]]

    def __or__(self, other: Survey) -> Survey:
        return Survey(max(self.channels, other.channels), self.sizes | other.sizes)


def survey(images: Collection) -> Survey:
    """Look at every header without decoding pixels.

    Raises:
        BadFile: an image is broken, too large or of a kind that is not 8 bits a channel.
    """
    sizes: set[tuple[int, int]] = set()
    grey = True
    for encoded in images:
        with _opened(encoded) as image:
            sizes.add(image.size)
            grey = grey and image.mode in GRAY_MODES
    return Survey(1 if grey else 3, frozenset(sizes))


def decode(images: Collection, *, channels: int, size_px: int, resize: bool = False) -> Part:
    """Decode a collection into one array.

    Args:
        images: what to decode.
        channels: 1 converts to grey, 3 to RGB.
        size_px: height and width.
        resize: crop to the central square and resize (bicubic, antialiased) where the size
            differs; otherwise another size is an error.

    Raises:
        BadFile: an image is broken, too large, of another size, or not 8 bits a channel.
    """
    import numpy as np

    pixels = allocate((len(images), channels, size_px, size_px))
    labels = np.empty(len(images), np.int64)
    for index, encoded in enumerate(images):
        with _opened(encoded) as image:
            fitted = _fit(image, encoded.where, size_px, resize)
            values = np.asarray(fitted.convert("L" if channels == 1 else "RGB"))
            pixels[index] = values.reshape(size_px, size_px, channels).transpose(2, 0, 1)
            labels[index] = encoded.label
    return Part(pixels, labels)


@contextmanager
def _opened(encoded: Encoded) -> Iterator[Image]:
    """An image of which only the header has been read, and found acceptable."""
    from PIL import Image

    with parsing(encoded.where), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        check_encoded_size(len(encoded.data), encoded.where)
        with Image.open(io.BytesIO(encoded.data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadFile(
                    f"{encoded.where} is {image.width}×{image.height} pixels; "
                    f"at most {MAX_PIXELS:,} are decoded."
                )
            if image.mode not in GRAY_MODES + COLOUR_MODES:
                raise BadFile(
                    f"{encoded.where} has pixels of kind {image.mode!r}; "
                    f"save it with 8 bits a channel, grey or RGB."
                )
            yield image


def _fit(image: Image, where: str, size_px: int, resize: bool) -> Image:
    from PIL import ImageOps
    from PIL.Image import Resampling

    size = (size_px, size_px)
    if image.size == size:
        return image
    if not resize:
        raise BadFile(
            f"{where} is {image.width}×{image.height} pixels, expected {size_px}×{size_px}."
        )
    mode = "L" if image.mode in GRAY_MODES else "RGB"
    return ImageOps.fit(image.convert(mode), size, Resampling.BICUBIC)
