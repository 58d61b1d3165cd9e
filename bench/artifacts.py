"""Synthetic sources as files: one ``.safetensors`` that says everything about itself.

Layout, schema 1. Header: the fields of :class:`bench.specs.Header` beside ``schema`` and ``kind``.

- Kind ``synthetic-set``. Tensors: ``images`` ``(N, C, H, W)`` float32 in model-input space;
  ``labels`` ``(N,)`` int64 class indices or ``(N, K)`` float32 logits; optional ``learning_rate``,
  a float64 scalar so that no Python float is rounded.
- Kind ``synthetic-generator``. Header: the numbers of :class:`bench.networks.gan.GanShape` as
  ``generator``; the budget is the images of each class in an epoch. Tensors, all float32:
  ``weights.<name>``, and ``mean`` and ``std`` ``(C,)`` of the pixel space.

Every byte stands under a checksum (:mod:`bench.files`), and nothing is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import files
from bench.errors import BadFile, ContractError, InvalidValue, NotApplicable
from bench.specs import Budget, DatasetSpec, Header

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data import SyntheticSet, SyntheticSource
    from bench.generators import SyntheticGenerator
    from bench.preprocessing import Preprocessing

SCHEMA = 1
SET = "synthetic-set"
GENERATOR = "synthetic-generator"
MAX_FILE_BYTES = 16 * 2**30
"""A file larger than this is refused before it is read; ImageNet-1K at 64 px, IPC 200, is 10 GB."""

_WEIGHTS = "weights."
_SPACE = ("mean", "std")
"""Names of a generator's tensors: each of the first has its own name behind it."""

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


def save(source: SyntheticSource, path: Path | str) -> str:
    """Write a synthetic set or generator atomically; return the SHA-256 of its content.

    Raises:
        InvalidValue: the source has no header.
        ContractError: it contradicts its header, holds NaN or infinity, or is of no kind that has a
            file layout.
        StoreError: the file cannot be written.
    """
    from bench.data import SyntheticSet
    from bench.generators import SyntheticGenerator

    if isinstance(source, SyntheticGenerator):
        header = header_as_dict(_required_header(_checked_generator(source)), GENERATOR)
        header["generator"] = asdict(source.shape)
        return files.save_tensors(Path(path), _tensors_of_generator(source), header)
    if isinstance(source, SyntheticSet):
        header = header_as_dict(_required_header(checked(source)))
        return files.save_tensors(Path(path), tensors_of(source), header)
    raise ContractError(
        f"A {type(source).__name__} cannot be stored; "
        f"hand over a bench.data.SyntheticSet or a bench.generators.SyntheticGenerator."
    )


def load(path: Path | str) -> SyntheticSet | SyntheticGenerator:
    """Read a file written by :func:`save`, every byte and every value checked.

    Raises:
        BadFile: missing, too large, damaged, of another kind or schema, or contradicting itself.
    """
    path = Path(path)
    described = files.read_header(path)
    header = header_from_dict(described, path, _kind(described, path))
    _check_size(path)
    tensors, _ = files.load_tensors(path)
    if described["kind"] == GENERATOR:
        return _generator_from(tensors, header, described["generator"], path)
    return from_tensors(tensors, header, path)


def is_generator(path: Path | str) -> bool:
    """Whether a file is a generator of this suite; files of other tools are none."""
    path = Path(path)
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    return files.read_header(path).get("kind") == GENERATOR


def load_set(path: Path | str) -> SyntheticSet:
    """As :func:`load`, for those who need images.

    Raises:
        BadFile: as :func:`load`, or the file holds a generator.
    """
    from bench.data import SyntheticSet

    source = load(path)
    if not isinstance(source, SyntheticSet):
        raise BadFile(
            f"{path} holds a generator, which draws new images for every epoch, and no images. "
            f"`bench evaluate` scores it."
        )
    return source


def read_header(path: Path | str) -> Header:
    """What a file says about itself; its tensors are not read.

    Raises:
        BadFile: no file of this suite, another kind, another schema, or a broken header.
    """
    path = Path(path)
    described = files.read_header(path)
    return header_from_dict(described, path, _kind(described, path))


def _kind(described: Mapping[str, Any], path: Path) -> str:
    kind = described.get("kind")
    if kind not in (SET, GENERATOR):
        raise BadFile(
            f"{path} holds a {kind!r}; this version reads {SET!r} and {GENERATOR!r} only."
        )
    return str(kind)


def header_as_dict(header: Header, kind: str = SET) -> dict[str, Any]:
    """The header as plain JSON values, with ``schema`` and ``kind``."""
    return {
        "schema": SCHEMA,
        "kind": kind,
        "dataset": header.dataset,
        "classes": list(header.classes),
        "budget": header.budget.as_dict(),
        "preprocessing": dict(header.preprocessing),
        "method": header.method,
        "parameters": dict(header.parameters),
        "created": dict(header.created),
    }


def header_from_dict(data: Mapping[str, Any], path: Path, kind: str = SET) -> Header:
    """The inverse of :func:`header_as_dict`; ``path`` is named in what it raises.

    Raises:
        BadFile: another kind or schema, or a field is missing, unknown or of the wrong type.
    """
    if data.get("kind") != kind:
        raise BadFile(f"{path} holds a {data.get('kind')!r}; expected a {kind!r}.")
    if data.get("schema") != SCHEMA:
        raise BadFile(
            f"{path} follows schema {data.get('schema')!r}; this version reads schema {SCHEMA}. "
            f"Install the version of the suite that wrote it."
        )
    fields = _FIELDS | ({"generator": dict} if kind == GENERATOR else {})
    wrong = [name for name, type_ in fields.items() if type(data.get(name)) is not type_]
    wrong += sorted(set(data) - set(fields))
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
    return synthetic.check(_spec(header, channels, size_px))


def _spec(header: Header, channels: int, size_px: int) -> DatasetSpec:
    """What a header promises, for images of this shape."""
    return DatasetSpec(
        name=header.dataset,
        classes=header.classes,
        channels=channels,
        size_px=size_px,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )


def _tensors_of_generator(generator: SyntheticGenerator) -> dict[str, Tensor]:
    weights = {f"{_WEIGHTS}{name}": value for name, value in generator.weights.items()}
    mean, std = generator.preprocessing.mean, generator.preprocessing.std
    return weights | dict(zip(_SPACE, (mean.flatten(), std.flatten()), strict=True))


def _generator_from(
    tensors: Mapping[str, Tensor], header: Header, numbers: dict[str, Any], path: Path
) -> SyntheticGenerator:
    """The checked generator made of the tensors of the file layout.

    Raises:
        BadFile: the numbers are no shape, a tensor is missing, unknown, of the wrong type or shape,
            or against the header.
    """
    from bench.generators import SyntheticGenerator
    from bench.networks.gan import GanShape

    weights = {k.removeprefix(_WEIGHTS): v for k, v in tensors.items() if k not in _SPACE}
    try:
        shape = GanShape(**numbers)
        generator = SyntheticGenerator(
            shape=shape,
            weights=weights,
            preprocessing=_stored_space(tensors, shape.channels),
            per_class=header.budget.count,
            header=header,
        )
        return _checked_generator(generator)
    except TypeError as error:
        raise BadFile(
            f"{path} describes no generator of this version by {', '.join(map(repr, numbers))}."
        ) from error
    except (ContractError, InvalidValue, NotApplicable) as error:
        raise BadFile(f"{path} contradicts itself: {error}") from error


def _stored_space(tensors: Mapping[str, Tensor], channels: int) -> Preprocessing:
    import torch

    from bench.preprocessing import Preprocessing

    for name in _SPACE:
        value = tensors.get(name)
        if value is None or value.dtype != torch.float32 or value.shape != (channels,):
            raise ContractError(f"it lacks a float32 {name} of {channels} channels.")
    mean, std = (tensors[name].view(-1, 1, 1) for name in _SPACE)
    return Preprocessing(kind="normalize", mean=mean, std=std)


def _checked_generator(generator: SyntheticGenerator) -> SyntheticGenerator:
    """Return the generator itself if it is what its layers and its own header promise.

    Raises:
        InvalidValue: the generator has no header.
        ContractError: other weights, budget, classes or pixel space, NaN or infinity.
    """
    header, shape = _required_header(generator), generator.shape
    if header.budget != Budget("inpc", generator.per_class):
        raise ContractError(f"{generator!r} was made for the budget {header.budget}.")
    generator.check(_spec(header, shape.channels, shape.size_px))
    if generator.preprocessing.header() != header.preprocessing:
        raise ContractError(
            f"{generator!r} draws in the pixel space {generator.preprocessing.header()}, "
            f"but its header says {header.preprocessing}."
        )
    return generator


def _required_header(source: SyntheticSet | SyntheticGenerator) -> Header:
    if source.header is None:
        raise InvalidValue(
            f"{source!r} has no header, so nobody could tell its dataset and pixel space; "
            f"give it a bench.specs.Header first."
        )
    return source.header


def _budget(data: Mapping[str, Any], path: Path) -> Budget:
    if set(data) != {"kind", "count"} or type(data["count"]) is not int:
        raise BadFile(f"{path} has a broken header: its budget is {data!r}.")
    try:
        return Budget(data["kind"], data["count"])
    except (InvalidValue, TypeError) as error:
        raise BadFile(f"{path} has a broken header: {error}") from error


def _check_size(path: Path) -> None:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise BadFile(
            f"{path} is larger than {MAX_FILE_BYTES} bytes; that is no synthetic set or generator."
        )
