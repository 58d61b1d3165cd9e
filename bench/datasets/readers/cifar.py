"""CIFAR-10 and CIFAR-100 from their Python version, whose files are pickles.

The MD5 of each file must be the published one, and even then only arrays, numbers, texts and
containers of them are unpickled: nothing that a pickle names is ever called.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.datasets.dataset import Part
from bench.datasets.parsing import parsing
from bench.datasets.readers import all_or_none
from bench.errors import BadFile
from bench.specs import DatasetSpec


@dataclass(frozen=True)
class Cifar:
    """The Python version of CIFAR, unpacked.

    Attributes:
        layout: the folder under the data root.
        train: file name and published MD5 of each training batch, in order.
        test: the same of the test batch.
        labels: the key of the labels.
    """

    layout: str
    train: tuple[tuple[str, str], ...]
    test: tuple[tuple[str, str], ...]
    labels: str

    def files(self, root: Path) -> tuple[Path, ...]:
        """Every batch."""
        return all_or_none(root / self.layout / name for name, _ in self.train + self.test)

    def read(self, root: Path, spec: DatasetSpec) -> tuple[Part, Part]:
        """Read both parts.

        Raises:
            BadFile: a file is not the published one.
        """
        folder = root / self.layout
        return self._part(folder, self.train, spec), self._part(folder, self.test, spec)

    def _part(self, folder: Path, batches: tuple[tuple[str, str], ...], spec: DatasetSpec) -> Part:
        import numpy as np

        contents = [_unpickle(folder / name, md5) for name, md5 in batches]
        with parsing(folder):
            pixels = np.concatenate([content["data"] for content in contents])
            labels = np.concatenate([content[self.labels] for content in contents])
            return Part(pixels.reshape(-1, *spec.shape), labels.astype(np.int64))


def _unpickle(path: Path, md5: str) -> Any:
    data = path.read_bytes()
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
        raise BadFile(
            f"{path} is not the published file: its MD5 differs from {md5}. "
            f"Delete it and fetch the dataset again."
        )
    with parsing(path):
        return _ArraysOnly(io.BytesIO(data), encoding="latin1").load()


class _ArraysOnly(pickle.Unpickler):
    """Rebuilds NumPy arrays and plain values, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        import numpy as np

        rebuild: Any = np.empty(0).__reduce__()[0]  # a public way to numpy's own function
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): rebuild,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array")
        return allowed[module, name]
