"""Image classification in the Hugging Face parquet layout.

One row an image: ``image`` or ``img`` with the encoded bytes (a struct of ``bytes`` and ``path``;
the path is never followed), ``label``, ``labels`` or ``fine_label`` with the class as an integer.
Class names come from the schema's metadata: Hugging Face's own, or a JSON list under ``classes``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.datasets.dataset import Part
from bench.datasets.images import Encoded, decode
from bench.datasets.parsing import check_encoded_size, parsing
from bench.datasets.readers import all_or_none
from bench.errors import BadFile
from bench.specs import DatasetSpec

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")

MAX_FOOTER_BYTES = 64 * 2**20
MAX_COLUMN_CHUNK_BYTES = 4 * 2**30
"""Bytes of one column in one row group, uncompressed."""

BATCH_ROWS = 256


@dataclass(frozen=True)
class ParquetImages:
    """The rows of one part, over all its shards in the given order."""

    paths: tuple[Path, ...]

    @cached_property
    def _shards(self) -> list[_Shard]:
        return [_Shard.open(path) for path in self.paths]

    def __len__(self) -> int:
        return sum(shard.rows for shard in self._shards)

    def __iter__(self) -> Iterator[Encoded]:
        for shard in self._shards:
            yield from shard

    @cached_property
    def classes(self) -> tuple[str, ...] | None:
        """Class names as the first shard's metadata gives them, if it does."""
        return self._shards[0].classes

    def labels(self) -> list[int]:
        """Every row's label, without reading images."""
        return [label for shard in self._shards for label in shard.labels()]


@dataclass(frozen=True)
class _Shard:
    """One file whose footer has been read and found acceptable."""

    path: Path
    rows: int
    image_column: str
    label_column: str
    classes: tuple[str, ...] | None

    @classmethod
    def open(cls, path: Path) -> _Shard:
        """Read the footer.

        Raises:
            BadFile: no parquet, without such columns, or larger than what is read.
        """
        with _file(path) as file:
            schema = file.schema_arrow
            shard = cls(
                path=path,
                rows=sum(file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)),
                image_column=_image_column(path, schema),
                label_column=_label_column(path, schema),
                classes=_class_names(schema),
            )
            _check_size(path, file.metadata)
        return shard

    def __iter__(self) -> Iterator[Encoded]:
        row = 0
        with _file(self.path) as file:
            columns = [self.image_column, self.label_column]
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
                name, dot, field = self.image_column.partition(".")
                images = batch.column(name).field(field) if dot else batch.column(name)
                for data, label in zip(images, batch.column(self.label_column), strict=True):
                    yield self._encoded(data, label, f"{self.path}, row {row}")
                    row += 1
        if row != self.rows:
            raise BadFile(f"{self.path} announces {self.rows:,} rows but holds {row:,}.")

    def _encoded(self, data: Any, label: Any, where: str) -> Encoded:
        if not (data.is_valid and label.is_valid):
            raise BadFile(f"{where} has no {'label' if data.is_valid else 'image bytes'}.")
        buffer = data.as_buffer()
        check_encoded_size(buffer.size, where)
        return Encoded(buffer.to_pybytes(), label.as_py(), where)

    def labels(self) -> list[int]:
        """Every row's label."""
        with _file(self.path) as file:
            column = file.read(columns=[self.label_column]).column(0)
            if column.null_count:
                raise BadFile(f"{self.path} has rows without a label.")
            return [int(label) for label in column.to_pylist()]


@contextmanager
def _file(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with (
        parsing(path),
        pq.ParquetFile(
            path,
            pre_buffer=False,
            thrift_string_size_limit=MAX_FOOTER_BYTES,
            thrift_container_size_limit=1_000_000,
        ) as file,
    ):
        yield file


def _image_column(path: Path, schema: Any) -> str:
    import pyarrow as pa

    name = _column(path, schema, IMAGE_COLUMNS)
    kind = schema.field(name).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return f"{name}.bytes"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return name
    raise BadFile(f"{path} holds images as {kind}; expected encoded bytes.")


def _label_column(path: Path, schema: Any) -> str:
    import pyarrow as pa

    name = _column(path, schema, LABEL_COLUMNS)
    if not pa.types.is_integer(schema.field(name).type):
        raise BadFile(f"{path} holds labels as {schema.field(name).type}; expected integers.")
    return name


def _column(path: Path, schema: Any, accepted: tuple[str, ...]) -> str:
    for name in accepted:
        if schema.get_field_index(name) >= 0:
            return name
    raise BadFile(
        f"{path} has the columns {', '.join(schema.names)}; "
        f"expected one of {', '.join(accepted)} among them."
    )


def _class_names(schema: Any) -> tuple[str, ...] | None:
    metadata = schema.metadata or {}
    if b"classes" in metadata:
        return tuple(str(name) for name in json.loads(metadata[b"classes"]))
    features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    for column in LABEL_COLUMNS:
        names = features.get(column, {}).get("names")
        if names:
            return tuple(str(name) for name in names)
    return None


def _check_size(path: Path, metadata: Any) -> None:
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for index in range(row_group.num_columns):
            column = row_group.column(index)
            if column.total_uncompressed_size > MAX_COLUMN_CHUNK_BYTES:
                raise BadFile(
                    f"{path} holds {column.total_uncompressed_size:,} bytes of "
                    f"{column.path_in_schema!r} in one row group; at most "
                    f"{MAX_COLUMN_CHUNK_BYTES:,} are read. Write it with smaller row groups."
                )


@dataclass(frozen=True)
class Parquet:
    """``train.parquet`` and ``test.parquet`` in a folder of their own.

    Attributes:
        layout: the folder under the data root.
    """

    layout: str

    def files(self, root: Path) -> tuple[Path, ...]:
        """Training part, then test part."""
        return all_or_none(root / self.layout / f"{part}.parquet" for part in ("train", "test"))

    def read(self, root: Path, spec: DatasetSpec) -> tuple[Part, Part]:
        """Decode both parts.

        Raises:
            BadFile: a file is broken, or its class names contradict ``spec``.
        """
        train, test = (self._part(path, spec) for path in self.files(root))
        return train, test

    def _part(self, path: Path, spec: DatasetSpec) -> Part:
        images = ParquetImages((path,))
        if images.classes not in (None, spec.classes):
            raise BadFile(f"{path} orders its classes otherwise than {spec.name} does.")
        return decode(images, channels=spec.channels, size_px=spec.size_px)
