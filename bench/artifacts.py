"""Synthetic sets as files: one ``.safetensors`` that says everything about itself.

Layout, schema 1, kind ``synthetic-set``. Tensors: ``images`` ``(N, C, H, W)`` float32 in
model-input space; ``labels`` ``(N,)`` int64 class indices or ``(N, K)`` float32 logits; optional
``learning_rate``, a float64 scalar so that no Python float is rounded. Header: the fields of
:class:`bench.data.Header` beside ``schema`` and ``kind``. Every byte stands under a checksum
(:mod:`bench.files`), and nothing is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import files
from bench.errors import BadFile, ContractError, InvalidValue
from bench.specs import Budget, DatasetSpec

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data import Header, SyntheticSet

SCHEMA = 1
KIND = "synthetic-set"
MAX_FILE_BYTES = 16 * 2**30
"""A file larger than this is refused before it is read; ImageNet-1K at 64 px, IPC 200, is 10 GB."""

_FIELDS: dict[str, type] = {
    "schema": int,
    "kind": str,
    "dataset": str,
    "classes": list,
    "budget": dict,
    "preprocessing": dict,
    "method": str,
    "parameters": dict,
    "created": dict,
}


def save(synthetic: SyntheticSet, path: Path | str) -> str:
    """Write a synthetic set atomically; return the SHA-256 of its content.

    Raises:
        InvalidValue: the set has no header.
        ContractError: the set contradicts its header, or holds NaN or infinity.
        StoreError: the file cannot be written.
    """
    header = _required_header(synthetic)
    checked(synthetic)
    return files.save_tensors(Path(path), tensors_of(synthetic), header_as_dict(header))


def load(path: Path | str) -> SyntheticSet:
    """Read a file written by :func:`save`, every byte and every value checked.

    Raises:
        BadFile: missing, too large, damaged, of another kind or schema, or contradicting itself.
    """
    path = Path(path)
    header = read_header(path)
    _check_size(path)
    tensors, _ = files.load_tensors(path)
    return from_tensors(tensors, header, path)


def read_header(path: Path | str) -> Header:
    """What a file says about itself; its tensors are not read.

    Raises:
        BadFile: no file of this suite, another kind, another schema, or a broken header.
    """
    path = Path(path)
    return header_from_dict(files.read_header(path), path)


def header_as_dict(header: Header) -> dict[str, Any]:
    """The header as plain JSON values, with ``schema`` and ``kind``."""
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "dataset": header.dataset,
        "classes": list(header.classes),
        "budget": header.budget.as_dict(),
        "preprocessing": dict(header.preprocessing),
        "method": header.method,
        "parameters": dict(header.parameters),
        "created": dict(header.created),
    }


def header_from_dict(data: Mapping[str, Any], path: Path) -> Header:
    """The inverse of :func:`header_as_dict`; ``path`` is named in what it raises.

    Raises:
        BadFile: another kind or schema, or a field is missing, unknown or of the wrong type.
    """
    from bench.data import Header

    if data.get("kind") != KIND:
        raise BadFile(f"{path} holds a {data.get('kind')!r}; this version reads {KIND!r} only.")
    if data.get("schema") != SCHEMA:
        raise BadFile(
            f"{path} follows schema {data.get('schema')!r}; this version reads schema {SCHEMA}. "
            f"Install the version of the suite that wrote it."
        )
    wrong = [name for name, kind in _FIELDS.items() if type(data.get(name)) is not kind]
    wrong += sorted(set(data) - set(_FIELDS))
    if wrong:
        raise BadFile(f"{path} has a broken header: {', '.join(wrong)} missing, unknown or wrong.")
    if not data["classes"] or not all(isinstance(name, str) for name in data["classes"]):
        raise BadFile(f"{path} has a broken header: classes must be a list of names.")
    try:
        files.canonical_json(data).encode()
    except (ValueError, RecursionError) as error:
        raise BadFile(f"{path} has a header that JSON cannot hold: {error}.") from error
    return Header(
        dataset=data["dataset"],
        classes=tuple(data["classes"]),
        budget=_budget(data["budget"], path),
        preprocessing=data["preprocessing"],
        method=data["method"],
        parameters=data["parameters"],
        created=data["created"],
    )


def tensors_of(synthetic: SyntheticSet) -> dict[str, Tensor]:
    """The tensors of the file layout, by name."""
    import torch

    tensors = {"images": synthetic.images, "labels": synthetic.labels}
    if synthetic.learning_rate is not None:
        tensors["learning_rate"] = torch.tensor(synthetic.learning_rate, dtype=torch.float64)
    return tensors


def from_tensors(tensors: Mapping[str, Tensor], header: Header, path: Path) -> SyntheticSet:
    """The checked set made of the tensors of the file layout; ``path`` is named in what it raises.

    Raises:
        BadFile: a tensor is missing, unknown, of the wrong type or shape, or against the header.
    """
    import torch

    from bench.data import SyntheticSet

    names = set(tensors)
    if not {"images", "labels"} <= names <= {"images", "labels", "learning_rate"}:
        raise BadFile(
            f"{path} holds the tensors {', '.join(sorted(names)) or 'none'}; "
            f"expected images, labels and perhaps learning_rate."
        )
    rate = tensors.get("learning_rate")
    if rate is not None and (rate.dtype != torch.float64 or rate.ndim != 0):
        raise BadFile(f"{path} holds a learning_rate that is no float64 scalar.")
    synthetic = SyntheticSet(
        images=tensors["images"],
        labels=tensors["labels"],
        learning_rate=None if rate is None else rate.item(),
        header=header,
    )
    try:
        return checked(synthetic)
    except ContractError as error:
        raise BadFile(f"{path} contradicts itself: {error}") from error


def checked(synthetic: SyntheticSet) -> SyntheticSet:
    """Return the set itself if it is what the file layout and its own header promise.

    Raises:
        InvalidValue: the set has no header.
        ContractError: wrong types or shapes, labels outside the header's classes, NaN or infinity.
    """
    import torch

    header, images, labels = _required_header(synthetic), synthetic.images, synthetic.labels
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise ContractError(f"images must be (N, C, H, H), not {tuple(images.shape)}.")
    if images.dtype != torch.float32:
        raise ContractError(f"images must be float32, not {images.dtype}.")
    if labels.ndim not in (1, 2) or labels.dtype != (torch.int64, torch.float32)[labels.ndim - 1]:
        raise ContractError(
            f"labels must be (N,) int64 or (N, K) float32, "
            f"not {tuple(labels.shape)} {labels.dtype}."
        )
    channels, size_px = images.shape[1:3]
    return synthetic.check(
        DatasetSpec(
            name=header.dataset,
            classes=header.classes,
            channels=channels,
            size_px=size_px,
            mean=(0.0,) * channels,
            std=(1.0,) * channels,
        )
    )


def _required_header(synthetic: SyntheticSet) -> Header:
    if synthetic.header is None:
        raise InvalidValue(
            f"{synthetic!r} has no header, so nobody could tell its dataset and pixel space; "
            f"give it a bench.data.Header first."
        )
    return synthetic.header


def _budget(data: Mapping[str, Any], path: Path) -> Budget:
    if set(data) != {"kind", "count"} or type(data["count"]) is not int:
        raise BadFile(f"{path} has a broken header: its budget is {data!r}.")
    try:
        return Budget(data["kind"], data["count"])
    except (InvalidValue, TypeError) as error:
        raise BadFile(f"{path} has a broken header: {error}") from error


def _check_size(path: Path) -> None:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise BadFile(f"{path} is larger than {MAX_FILE_BYTES} bytes; that is no synthetic set.")
