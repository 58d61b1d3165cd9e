"""Sets saved by ``torch.save``: read with ``weights_only=True``, so nothing is ever unpickled.

Layouts, as the projects write them:

- MTT, TESLA, FTD, DATM: ``images_<it>.pt`` and ``labels_<it>.pt``, with ``<it>`` an iteration or
  ``best``, and sometimes ``lr_<it>.pt`` or ``lr.pt``; FTD and DATM in a folder ``Normal`` (FTD's
  moving average in ``ema``), some in a folder ``zca``. Runs in ZCA space also write previews
  ``images_zca_<it>.pt``, mapped back to pixels.
- DC, DSA, DM: ``res_*.pt``, a dictionary whose ``data`` lists one ``[images, labels]`` an
  experiment, beside accuracies as numpy scalars. None of the three knows ZCA.
- SRe2L and its followers: one tensor, rows sorted by class.
- A dictionary with ``images`` and ``labels``; our own export is one with ``header`` as well.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.errors import BadFile, InvalidValue
from bench.exchange import own
from bench.exchange.bounds import check_bytes, check_file, check_inside, check_zip
from bench.exchange.found import Found, from_named, learning_rate, plain_tensor
from bench.specs import DatasetSpec

_TRAJECTORY_IMAGES = re.compile(r"images_(zca_)?(best|\d+)\.pt")
_VARIANTS = ("Normal", "ema", "zca")
_ZIP_MAGIC = b"PK\x03\x04"


class _Ignored:
    """Stands in for numpy's scalars and arrays, which DC's files carry as logs; holds nothing."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


_STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Ignored, f"numpy.{name}")
    for name in (
        "dtype",
        "ndarray",
        "core.multiarray.scalar",
        "core.multiarray._reconstruct",
        "_core.multiarray.scalar",
        "_core.multiarray._reconstruct",
    )
]


def load(path: Path, spec: DatasetSpec) -> Any:
    """What ``torch.save`` wrote, restricted to tensors and plain containers.

    Raises:
        BadFile: damaged, too large, or it holds an object that only unpickling could restore.
    """
    check_file(path, spec)
    with path.open("rb") as stream:
        zipped = stream.read(4) == _ZIP_MAGIC
    if zipped:
        check_zip(path, spec, compressed=False)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_STAND_INS):
            warnings.simplefilter("ignore")
            # mapped memory cannot grow, so a tensor that claims more than its storage is refused
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # a hostile file may break the reader in any way
        raise BadFile(
            f"{path} is damaged or holds more than tensors ({type(error).__name__}); nothing is "
            f"ever unpickled here. Where it was made, save "
            f"{{'images': images, 'labels': labels}} as tensors with torch.save."
        ) from error


def read_file(path: Path, spec: DatasetSpec, index: int | None) -> Found:
    """The set in one ``.pt`` file, with its companions if it is one of MTT's.

    Raises:
        BadFile: see :func:`load`; or no layout is recognised.
        InvalidValue: ``index`` is out of range.
    """
    if match := _TRAJECTORY_IMAGES.fullmatch(path.name):
        return _read_trajectory(path, bool(match[1]), match[2], spec)
    content = load(path, spec)
    if isinstance(content, Mapping) and isinstance(content.get("data"), list):
        return _read_experiments(content["data"], path, index)
    if isinstance(content, Mapping) and "header" in content:
        return _read_own(content, path, spec)
    if isinstance(content, Mapping):
        return from_named(content, path, "a dictionary of tensors")
    if isinstance(content, (list, tuple)) and len(content) == 2:
        return _pair(content, path, "a pair of tensors")
    if isinstance(content, Tensor):
        images = plain_tensor(content, "the tensor", path)
        return Found(layout="one tensor of images", images=images, files=(path,))
    raise BadFile(
        f"{path} holds a {type(content).__name__}; expected a tensor of images, a dictionary with "
        f"'images' and 'labels', or a dictionary with 'data' as DC, DSA and DM write it."
    )


def trajectory_images(folder: Path) -> Path | None:
    """The images that MTT or one of its followers left in ``folder``: the best, or the latest.

    Raises:
        BadFile: the run left several variants and none is named.
    """
    variants = [folder / name for name in _VARIANTS if (folder / name).is_dir()]
    if len(variants) > 1:
        names = ", ".join(variant.name for variant in variants)
        raise BadFile(
            f"{folder} holds several variants of a set ({names}; FTD delivers ema). Give one."
        )
    inside = check_inside(variants[0], folder) if variants else folder
    iterations = {
        match[2]: path
        for path in inside.iterdir()
        if (match := _TRAJECTORY_IMAGES.fullmatch(path.name)) and not match[1]
    }
    if not iterations:
        return None
    latest = max(iterations, key=lambda it: float("inf") if it == "best" else int(it))
    return check_inside(iterations[latest], folder)


def _read_trajectory(path: Path, preview: bool, iteration: str, spec: DatasetSpec) -> Found:
    folder = path.parent
    labels = _companion(folder, [f"labels_{iteration}.pt"])
    rate = _companion(folder, [f"lr_{iteration}.pt", "lr.pt"])
    used = tuple(part for part in (path, labels, rate) if part)
    note = f"{path.name} is a preview mapped back from ZCA space, not what the students saw."
    return Found(
        layout=f"MTT's files {', '.join(part.name for part in used)}",
        images=plain_tensor(load(path, spec), "the tensor", path),
        labels=plain_tensor(load(labels, spec), "the tensor", labels) if labels else None,
        learning_rate=learning_rate(load(rate, spec), rate) if rate else None,
        whitened=False if preview else _says_zca(path),
        files=used,
        notes=(note,) if preview else (),
    )


def _says_zca(images: Path) -> bool | None:
    """Whether folder names, or previews that only whitened runs write, say ZCA; else ``None``."""
    named = any(parent.name.lower() == "zca" for parent in images.absolute().parents[:2])
    return named or any(images.parent.glob("images_zca_*.pt")) or None


def _companion(folder: Path, names: list[str]) -> Path | None:
    paths = [folder / name for name in names if (folder / name).exists()]
    return check_inside(paths[0], folder) if paths else None


def _read_own(content: Mapping[Any, Any], path: Path, spec: DatasetSpec) -> Found:
    tensors = {
        name: plain_tensor(content[name], name, path)
        for name in ("images", "labels", "learning_rate")
        if name in content
    }
    # a tensor may claim any size by repeating one stored value
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    check_bytes(path, claimed, spec)
    return own.restore(tensors, content["header"], content.get("sha256"), path)


def _read_experiments(entries: list[Any], path: Path, index: int | None) -> Found:
    if not entries:
        raise BadFile(f"{path} is a result file of DC, DSA or DM without any set in it.")
    chosen = len(entries) - 1 if index is None else index
    if not 0 <= chosen < len(entries):
        raise InvalidValue(
            f"{path} holds {len(entries)} sets; index {index} must lie in [0, {len(entries)})."
        )
    note = f"The file holds {len(entries)} sets; number {chosen}, counted from 0, was taken."
    found = _pair(entries[chosen], path, "a result file of DC, DSA or DM")
    return replace(
        found,
        whitened=False,
        sets=len(entries),
        notes=(note,) if len(entries) > 1 else (),
    )


def _pair(content: Any, path: Path, layout: str) -> Found:
    if not isinstance(content, (list, tuple)) or len(content) != 2:
        raise BadFile(f"{path}: {layout} should hold [images, labels].")
    return from_named(dict(zip(("images", "labels"), content, strict=True)), path, layout)
