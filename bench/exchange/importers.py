"""Synthetic sets made elsewhere, read safely and brought into the form of this suite.

Every refusal names what was found, what is allowed and what to do; the notes say what was
recognised and what was decided.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from bench import files
from bench.data import SyntheticSet
from bench.errors import BadFile, ContractError, InvalidValue, UnknownName
from bench.exchange import array_files, image_folders, labels, parquet_files, torch_files
from bench.exchange.bounds import check_inside, max_images
from bench.exchange.conversion import to_model_input
from bench.exchange.found import Found
from bench.exchange.own import EXACT_FILE
from bench.exchange.pixel_space import SPACES
from bench.preprocessing import Preprocessing
from bench.specs import Budget, DatasetSpec, Header

_READERS: dict[str, Callable[[Path, DatasetSpec], Found]] = {
    ".safetensors": array_files.read_safetensors,
    ".npz": array_files.read_npz,
    ".npy": array_files.read_npy,
    ".parquet": parquet_files.read,
}
_TORCH_SUFFIXES = (".pt", ".pth")


@dataclass(frozen=True, kw_only=True, eq=False)
class Imported:
    """A set that fits the dataset, in model-input space, with its header.

    Attributes:
        synthetic: the set.
        notes: which format and pixel space were recognised and why, as sentences.
    """

    synthetic: SyntheticSet
    notes: tuple[str, ...]


def read(
    path: Path | str,
    spec: DatasetSpec,
    *,
    preprocessing: Preprocessing,
    space: str = "auto",
    budget: Budget | None = None,
    index: int | None = None,
) -> Imported:
    """Read a synthetic set in any known format.

    Args:
        path: a file or folder.
        spec: the dataset it was distilled from.
        preprocessing: the model-input space of the evaluation.
        space: the pixel space it is in, a name of ``SPACES``; ``auto`` takes the only one that
            its pixels fit.
        budget: what it was made for; without it, images per class follow from the count.
        index: which set, where a result file of DC, DSA or DM holds several; the last by default.

    Raises:
        BadFile: damaged, hostile, of an unknown format, or it does not fit the dataset, the budget
            or the stated pixel space.
        UnknownName: ``space`` is no pixel space.
        InvalidValue: ``index`` is out of range.
    """
    path = Path(path)
    source = str(path)
    if space not in ("auto", *SPACES):
        raise UnknownName("pixel space", space, ["auto", *SPACES])
    found, sha256 = _find(path, spec, index)
    header_notes = _check_header(found.header, spec, source)
    images, shape_notes = _shaped(found.images, spec, source)
    found = replace(found, images=images)
    budget = labels.check_count(len(images), budget or _own_budget(found), spec, source)
    targets, label_notes = _targets(found, spec, source)
    converted = to_model_input(found, space, spec, preprocessing, source)
    facts = {"source": path.name, "sha256": sha256, "layout": found.layout}
    synthetic = SyntheticSet(
        images=converted.images,
        labels=targets,
        learning_rate=found.learning_rate,
        header=_header(found, spec, budget, preprocessing, facts | {"space": converted.space}),
    )
    try:
        synthetic.check(spec)
    except ContractError as error:
        raise BadFile(f"{source}: {error}") from error
    recognised = f"Recognised as {found.layout}."
    decided = (*header_notes, *shape_notes, *label_notes, *converted.notes)
    return Imported(synthetic=synthetic, notes=(recognised, *found.notes, *decided))


def _find(path: Path, spec: DatasetSpec, index: int | None) -> tuple[Found, str]:
    """What is at ``path``, and the SHA-256 of the files that it was read from."""
    try:
        found = _read_folder(path, spec) if path.is_dir() else _read_file(path, spec, index)
        sha256 = _digest(found.files, path)
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror or error}.") from error
    if index and found.sets == 1:
        raise InvalidValue(f"{path} holds one set; leave the index {index} out.")
    return found, sha256


def _read_file(path: Path, spec: DatasetSpec, index: int | None = None) -> Found:
    suffix = path.suffix.lower()
    if suffix in _TORCH_SUFFIXES:
        return torch_files.read_file(path, spec, index)
    if suffix in _READERS:
        return _READERS[suffix](path, spec)
    known = ", ".join((*_READERS, *_TORCH_SUFFIXES))
    raise BadFile(f"{path} has no known ending; give a file ending in {known}, or a folder.")


def _read_folder(folder: Path, spec: DatasetSpec) -> Found:
    if (folder / EXACT_FILE).exists():
        return _read_file(check_inside(folder / EXACT_FILE, folder), spec)
    images = torch_files.trajectory_images(folder)
    if images:
        return _read_file(images, spec)
    if image_folders.has_class_folders(folder):
        return image_folders.read(folder, spec)
    raise BadFile(
        f"{folder} holds neither {EXACT_FILE}, nor images_<iteration>.pt as MTT writes it, nor "
        f"class folders of pictures; give the file itself."
    )


def _digest(paths: tuple[Path, ...], root: Path) -> str:
    if len(paths) == 1:
        return files.file_digest(paths[0])
    base = root if root.is_dir() else root.parent
    return files.digest({str(p.relative_to(base)): files.file_digest(p) for p in paths})


def _check_header(header: Header | None, spec: DatasetSpec, source: str) -> tuple[str, ...]:
    if header is None or (header.dataset, header.classes) == (spec.name, spec.classes):
        return ()
    if header.classes != spec.classes:
        raise BadFile(
            f"{source} was distilled from {header.dataset} with the classes "
            f"{', '.join(header.classes[:3])}, …; {spec.name} has {', '.join(spec.classes[:3])}, … "
            f"Evaluate it on {header.dataset}."
        )
    return (f"Distilled from {header.dataset}, whose classes are those of {spec.name}.",)


def _shaped(images: Tensor, spec: DatasetSpec, source: str) -> tuple[Tensor, tuple[str, ...]]:
    """Finite images as ``(N, C, H, W)``, and what was done for that."""
    channels, height, width = spec.shape
    note: tuple[str, ...] = ()
    if images.shape[1:] == (height, width, channels) != spec.shape:
        images, note = images.permute(0, 3, 1, 2), ("Channels were last and were moved.",)
    if channels == 1 and images.shape[1:] == (height, width):
        images = images[:, None]
    if images.ndim != 4 or images.shape[1:] != spec.shape or len(images) > max_images(spec):
        raise BadFile(
            f"{source} holds images of shape {tuple(images.shape)}; {spec.name} needs "
            f"(N, {channels}, {height}, {width}) with N up to {max_images(spec):,}."
        )
    if not bool(images.float().isfinite().all()):
        raise BadFile(f"{source} holds images with NaN or infinity.")
    return images, note


def _own_budget(found: Found) -> Budget | None:
    return found.header.budget if found.header else None


def _targets(found: Found, spec: DatasetSpec, source: str) -> tuple[Tensor, tuple[str, ...]]:
    if found.header is not None and found.labels is not None:
        return found.labels.clone(), ()
    return labels.canonical(found.labels, len(found.images), spec, source)


def _header(
    found: Found,
    spec: DatasetSpec,
    budget: Budget,
    preprocessing: Preprocessing,
    facts: dict[str, str],
) -> Header:
    if found.header is not None:
        return replace(found.header, preprocessing=preprocessing.header())
    return Header(
        dataset=spec.name,
        classes=spec.classes,
        budget=budget,
        preprocessing=preprocessing.header(),
        method="imported",
        created=facts,
    )
