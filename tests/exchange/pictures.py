"""Pictures as projects deliver them."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from torch import Tensor


def png(pixels: Tensor) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(stream, format="PNG")
    return stream.getvalue()


def class_folders(root: Path, names: list[str], pixels: Tensor, file: str = "{}.png") -> Path:
    """Two pictures a class, in the order of ``names``."""
    for row, picture in enumerate(pixels):
        folder = root / names[row // 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.format(row)).write_bytes(png(picture))
    return root
