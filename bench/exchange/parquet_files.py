"""Sets as parquet: one row an image, in the layout that Hugging Face's ``datasets`` reads.

Our own columns: ``image`` (struct of PNG ``bytes`` and ``path``, 8-bit, for eyes), ``label``
(int64, the most likely class where labels are soft), ``pixels`` (float32, flattened C, H, W: the
exact values) and, for soft labels, ``logits``. The schema's metadata hold header, shape, learning
rate and checksum, so that a set comes back bit for bit. Foreign files need an image column (PNG or
JPEG bytes) and a label column.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from bench import files
from bench.data import SyntheticSet
from bench.errors import BadFile
from bench.exchange import own
from bench.exchange.bounds import check_bytes, check_file, max_bytes, max_images
from bench.exchange.found import Found
from bench.exchange.images import decode
from bench.specs import DatasetSpec

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")
_META = b"bench"
_MAX_BATCH_ROWS = 1024


def write(synthetic: SyntheticSet, previews: Sequence[bytes], path: Path) -> None:
    """Write a set atomically, ``previews`` being one PNG an image.

    Raises:
        InvalidValue: the set has no header.
        ContractError: the set contradicts its header.
        StoreError: the file cannot be written.
    """
    with files.atomic_write(path) as temporary:
        pq.write_table(_table(synthetic, previews), temporary)


def _table(synthetic: SyntheticSet, previews: Sequence[bytes]) -> pa.Table:
    header, sha256 = own.seal(synthetic)
    images, labels = synthetic.images.cpu(), synthetic.labels.cpu()
    classes = labels if labels.ndim == 1 else labels.argmax(1)
    pictures = [{"bytes": png, "path": f"{row}.png"} for row, png in enumerate(previews)]
    columns = {
        "image": pa.array(pictures, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
        "label": pa.array(classes.numpy(), pa.int64()),
        "pixels": _fixed_lists(images.flatten(1)),
    }
    if labels.ndim == 2:
        columns["logits"] = _fixed_lists(labels)
    about = {
        "header": header,
        "sha256": sha256,
        "shape": list(images.shape[1:]),
        "learning_rate": synthetic.learning_rate,
    }
    return pa.table(columns).replace_schema_metadata(
        {_META: json.dumps(about), b"huggingface": json.dumps(_features(synthetic))}
    )


def read(path: Path, spec: DatasetSpec) -> Found:
    """The set in a parquet file, of ours or of anybody's image-classification layout.

    Raises:
        BadFile: damaged, too large, or without the columns named above.
    """
    check_file(path, spec)
    try:
        with pq.ParquetFile(path) as table:
            _check_claims(table, path, spec)
            metadata = table.schema_arrow.metadata or {}
            if _META in metadata:
                return _read_own(table, metadata[_META], path, spec)
            return _read_pictures(table, path, spec)
    except BadFile:
        raise
    except Exception as error:  # a hostile file may break the reader in any way
        raise BadFile(f"{path} is no readable parquet file ({type(error).__name__}).") from error


def _check_claims(table: pq.ParquetFile, path: Path, spec: DatasetSpec) -> None:
    if table.metadata.num_rows > max_images(spec):
        raise BadFile(
            f"{path} claims {table.metadata.num_rows:,} rows; a synthetic set of {spec.name} has "
            f"at most {max_images(spec):,}."
        )
    check_bytes(path, _unpacked_bytes(table), spec)


def _unpacked_bytes(table: pq.ParquetFile) -> int:
    groups = (table.metadata.row_group(group) for group in range(table.num_row_groups))
    return sum(int(group.total_byte_size) for group in groups)


def _batches(
    table: pq.ParquetFile, columns: list[str], path: Path, spec: DatasetSpec
) -> Iterator[pa.RecordBatch]:
    """The rows of ``columns``, in batches whose memory is bounded.

    One stored value may be repeated by reference in every row, so a batch has as many rows as
    would still fit the bound if each were as large as everything stored.
    """
    rows = max(1, min(_MAX_BATCH_ROWS, max_bytes(spec) // max(1, _unpacked_bytes(table))))
    total = 0
    for batch in table.iter_batches(batch_size=rows, columns=columns, use_threads=False):
        total += batch.nbytes
        check_bytes(path, total, spec)
        yield batch


def _read_own(table: pq.ParquetFile, metadata: bytes, path: Path, spec: DatasetSpec) -> Found:
    about = json.loads(metadata)
    soft = "logits" in table.schema_arrow.names
    columns = ["pixels", "logits" if soft else "label"]
    pixels, labels = [], []
    for batch in _batches(table, columns, path, spec):
        pixels.append(_rows(batch.column("pixels")).reshape(-1, *about["shape"]))
        labels.append(_rows(batch.column("logits")) if soft else _values(batch.column("label")))
    tensors = {"images": torch.cat(pixels), "labels": torch.cat(labels)}
    if about["learning_rate"] is not None:
        tensors["learning_rate"] = torch.tensor(about["learning_rate"], dtype=torch.float64)
    return own.restore(tensors, about["header"], about["sha256"], path)


def _read_pictures(table: pq.ParquetFile, path: Path, spec: DatasetSpec) -> Found:
    names = table.schema_arrow.names
    image = next((name for name in IMAGE_COLUMNS if name in names), None)
    label = next((name for name in LABEL_COLUMNS if name in names), None)
    if image is None or label is None:
        raise BadFile(
            f"{path} has the columns {', '.join(names) or 'none'}; expected an image column "
            f"({' or '.join(IMAGE_COLUMNS)}) and a label column ({' or '.join(LABEL_COLUMNS)})."
        )
    if not pa.types.is_integer(table.schema_arrow.field(label).type):
        raise BadFile(f"{path} has a column {label!r} that holds no class indices.")
    images: list[Tensor] = []
    labels: list[Tensor] = []
    for batch in _batches(table, [image, label], path, spec):
        for row, cell in enumerate(batch.column(image).to_pylist(), start=len(images)):
            content = cell.get("bytes") if isinstance(cell, dict) else cell
            if not isinstance(content, bytes):
                raise BadFile(f"{path}, row {row}: the picture's bytes are not in the file.")
            images.append(decode(io.BytesIO(content), f"{path}, row {row}", spec))
        labels.append(_values(batch.column(label)))
    if not images:
        raise BadFile(f"{path} holds no rows.")
    return Found(
        layout="parquet with a picture a row",
        images=torch.stack(images),
        labels=torch.cat(labels),
        space="bytes",
        files=(path,),
    )


def _fixed_lists(rows: Tensor) -> pa.Array:
    flat = pa.array(rows.contiguous().reshape(-1).numpy(), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])


def _rows(column: pa.Array) -> Tensor:
    """A fixed-size list column as ``(n, length)``."""
    return _values(column.flatten()).reshape(len(column), -1)


def _values(column: pa.Array) -> Tensor:
    """A numeric column; gaps become NaN, which later checks refuse."""
    values: np.ndarray[Any, Any] = column.to_numpy(zero_copy_only=False)
    return torch.from_numpy(values.copy())


def _features(synthetic: SyntheticSet) -> dict[str, Any]:
    """What Hugging Face's ``datasets`` wants to know about the columns."""
    assert synthetic.header is not None

    def floats(length: int) -> dict[str, Any]:
        value = {"dtype": "float32", "_type": "Value"}
        return {"feature": value, "length": length, "_type": "Sequence"}

    features: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": list(synthetic.header.classes), "_type": "ClassLabel"},
        "pixels": floats(synthetic.images[0].numel()),
    }
    if synthetic.label_kind == "soft":
        features["logits"] = floats(synthetic.labels.shape[1])
    return {"info": {"features": features}}
