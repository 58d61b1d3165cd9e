"""Hand a synthetic set to other tools; the way back through ``read`` loses nothing.

- ``parquet``: one row an image, see :mod:`bench.exchange.parquet_files`.
- ``folder``: ``<index>-<class>/<row>.png`` previews for eyes, and the exact set beside them. The
  index comes first so that tools which sort folders by name get the labels right.
- ``pt``: a dictionary of tensors with the header as JSON text, for ``torch.load`` with
  ``weights_only=True``.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from bench import artifacts, files
from bench.data import SyntheticSet
from bench.errors import InvalidValue, StoreError
from bench.exchange import own, parquet_files
from bench.exchange.images import encode_png
from bench.exchange.pixel_space import stated_map
from bench.preprocessing import Preprocessing

Target = Literal["parquet", "folder", "pt"]
TARGETS: tuple[Target, ...] = ("parquet", "folder", "pt")

_UNSAFE = re.compile(r"[^\w-]+")
_MAX_NAME = 48
"""Characters of a class name in a folder name; file systems take 255 bytes."""


def write(
    synthetic: SyntheticSet,
    path: Path | str,
    to: str,
    *,
    preprocessing: Preprocessing | None = None,
    overwrite: bool = False,
) -> Path:
    """Write ``synthetic`` in another format and return where it stands.

    Args:
        synthetic: the set; it needs a header.
        path: the file or folder to make; a file gets its format's ending if it has it not.
        to: one of ``TARGETS``.
        preprocessing: maps images back to pixels for the previews; needed for ZCA only, as the
            header holds mean and std.
        overwrite: replace what an earlier export left there.

    Raises:
        InvalidValue: an unknown format, no header, something is there already, or previews need a
            ZCA matrix that was not given.
        ContractError: the set contradicts its header.
        StoreError: it cannot be written.
    """
    if to not in TARGETS:
        raise InvalidValue(f"{to!r} is no export format; give one of {', '.join(TARGETS)}.")
    path = _with_ending(Path(path), to)
    synthetic = artifacts.checked(synthetic.to("cpu"))
    _check_free(path, overwrite, folder=to == "folder")
    if to == "pt":
        _write_pt(synthetic, path)
    elif to == "parquet":
        previews = [encode_png(pixels) for pixels in _previews(synthetic, preprocessing)]
        parquet_files.write(synthetic, previews, path)
    else:
        _write_folder(synthetic, _previews(synthetic, preprocessing), path)
    return path


_ENDINGS = {"parquet": (".parquet",), "pt": (".pt", ".pth"), "folder": ()}


def _with_ending(path: Path, to: str) -> Path:
    """The path with an ending by which it is known again when it is read."""
    endings = _ENDINGS[to]
    fits = not endings or path.suffix.lower() in endings or path.is_dir()  # refused as what it is
    return path if fits else path.with_name(path.name + endings[0])


def _check_free(path: Path, overwrite: bool, *, folder: bool) -> None:
    """Refuse to replace anything, or with ``overwrite`` anything that is no earlier export."""
    if not path.exists():
        return
    if not overwrite:
        raise InvalidValue(f"{path} exists; give another path or add --overwrite.")
    replaceable = (path / own.EXACT_FILE).is_file() if folder else path.is_file()
    if not replaceable:
        raise InvalidValue(f"{path} is no earlier export and is not overwritten; remove it first.")


def _previews(synthetic: SyntheticSet, preprocessing: Preprocessing | None) -> Tensor:
    """``(N, C, H, W)`` uint8 pictures for eyes, clipped to what a screen can show."""
    assert synthetic.header is not None
    made_with = synthetic.header.preprocessing
    if preprocessing is not None and preprocessing.header() != made_with:
        raise InvalidValue(
            f"The set was preprocessed by {made_with}, not by {preprocessing.header()}; previews "
            f"need the set's own."
        )
    to_unit = stated_map(made_with)
    if preprocessing is not None:
        unit = preprocessing.inverse(synthetic.images)
    elif to_unit is not None:
        unit = to_unit.to_unit(synthetic.images)
    else:
        raise InvalidValue(
            "Previews of a ZCA-whitened set need its matrix; give the preprocessing, or export to "
            "pt, which holds no previews."
        )
    return unit.clamp(0, 1).mul(255).round().byte()


def _write_pt(synthetic: SyntheticSet, path: Path) -> None:
    header, sha256 = own.seal(synthetic)
    # a view would drag the whole storage that it looks into along
    tensors = {name: t.detach().clone() for name, t in artifacts.tensors_of(synthetic).items()}
    with files.atomic_write(path) as temporary:
        torch.save({**tensors, "header": header, "sha256": sha256}, temporary)


def _write_folder(synthetic: SyntheticSet, previews: Tensor, path: Path) -> None:
    assert synthetic.header is not None
    names = class_folder_names(synthetic.header.classes)
    hard = synthetic.labels if synthetic.labels.ndim == 1 else synthetic.labels.argmax(1)
    with _new_folder(path) as folder:
        artifacts.save(synthetic, folder / own.EXACT_FILE)
        for name in names:
            (folder / name).mkdir()
        for row, label in enumerate(hard.tolist()):
            (folder / names[label] / f"{row:05d}.png").write_bytes(encode_png(previews[row]))


def class_folder_names(classes: Sequence[str]) -> list[str]:
    """One distinct folder name a class that sorts by label and cannot lead anywhere else."""
    width = len(str(len(classes) - 1))
    return [
        f"{label:0{width}d}-{_UNSAFE.sub('_', name)[:_MAX_NAME]}"
        for label, name in enumerate(classes)
    ]


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """A folder that appears at ``path`` once it is complete, in place of an earlier one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
            folder = Path(scratch) / "new"
            folder.mkdir()
            yield folder
            if path.exists():
                path.rename(Path(scratch) / "old")
            folder.rename(path)
    except OSError as error:
        raise StoreError(
            f"Cannot write {path}: {error.strerror or error}. "
            f"Free space or choose a folder that you may write."
        ) from error
