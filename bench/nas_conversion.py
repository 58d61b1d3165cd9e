"""From the official file of NAS-Bench-201 to the compact table, through the authors' own package.

``NAS-Bench-201-v1_1-096897.pth`` is a pickle of 4.7 GB. It is read with ``weights_only=True``:
containers, texts, numbers and tensors are restored, and whatever else it names is refused, never
called. The package then answers what an accuracy is; it is handed one cell at a time, because it
copies all it is given. Reading takes several times the file's size in memory.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from bench import nas_table
from bench.datasets.parsing import parsing
from bench.errors import BadFile, MissingData

COLUMNS: Mapping[str, tuple[str, str, str]] = {
    "cifar10_test_200": ("cifar10", "200", "test-accuracy"),
    "cifar100_test_200": ("cifar100", "200", "test-accuracy"),
    "imagenet16-120_test_200": ("ImageNet16-120", "200", "test-accuracy"),
    "cifar10_valid_12": ("cifar10-valid", "12", "valid-accuracy"),
    "cifar10_test_12": ("cifar10", "12", "test-accuracy"),
    "cifar100_valid_12": ("cifar100", "12", "valid-accuracy"),
    "cifar100_test_12": ("cifar100", "12", "test-accuracy"),
    "imagenet16-120_valid_12": ("ImageNet16-120", "12", "valid-accuracy"),
    "imagenet16-120_test_12": ("ImageNet16-120", "12", "test-accuracy"),
}
"""For each column of the table the package's dataset, its training length and the metric."""

MAX_CELLS = 15_625


class _Dtype:
    """Stands in for a numpy number type."""

    _FORMATS: Mapping[str, str] = {"f4": "f", "f8": "d", "i4": "i", "i8": "q"}

    def __init__(self, name: str, *_: object) -> None:
        self.format = self._FORMATS[name]
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _number(dtype: _Dtype, data: bytes) -> float:
    """Stands in for numpy's own function that restores a scalar."""
    value: float = struct.unpack(dtype.order + dtype.format, data)[0]
    return value


_STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Dtype, "numpy.dtype"),
    (_number, "numpy.core.multiarray.scalar"),
    (_number, "numpy._core.multiarray.scalar"),
]


def official_cells(path: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Each cell's official text with its accuracies in percent, means over all trained seeds.

    Args:
        path: the official file; version 1.1, because in 1.0 most cells lack the short training.

    Raises:
        MissingData: the package ``nas-bench-201`` is not installed, or there is no such file.
        BadFile: the file is damaged, holds code, or lacks an accuracy.
    """
    package = _package()
    texts, infos = _load(path)
    for index, text in enumerate(texts):
        where = f"{path}, cell {index}"
        with parsing(where):
            cell = str(nas_table.cell(where, text))
            content = {"meta_archs": [cell], "arch2infos": {0: infos[index]}}
            api = package.NASBench201API(content | {"evaluated_indexes": [0]}, verbose=False)
        yield cell, {column: _accuracy(api, where, column) for column in COLUMNS}


def _package() -> ModuleType:
    try:
        return import_module("nas_201_api")
    except ImportError as error:
        raise MissingData(
            "Reading the official file of NAS-Bench-201 needs its package; "
            "run `pip install nas-bench-201`."
        ) from error


def _load(path: Path) -> tuple[list[str], Mapping[int, Any]]:
    """Texts of the cells in official order, and what the file holds of each, by its place."""
    content = _restore(path)
    with parsing(path):
        texts, infos = content["meta_archs"], content["arch2infos"]
        if not len(texts) == len(infos) == len(set(texts)) <= MAX_CELLS:
            raise BadFile(
                f"{path} names {len(texts):,} cells and holds results of {len(infos):,}; expected "
                f"at most {MAX_CELLS:,}, each once."
            )
    return texts, infos


def _restore(path: Path) -> Any:
    if not path.is_file():
        raise MissingData(f"There is no file {path}; give the official NAS-Bench-201-v1_1 file.")
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_STAND_INS):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile file may break the reader in any way
        raise BadFile(
            f"{path} is damaged or holds more than numbers, texts, tensors and containers of them "
            f"({_first_sentence(error)}). Nothing else is ever unpickled; give the official "
            f"NAS-Bench-201-v1_1-096897.pth."
        ) from error


def _first_sentence(error: Exception) -> str:
    """What was refused: torch explains at length how one could trust the file all the same."""
    named = next((line for line in str(error).splitlines() if "GLOBAL" in line), str(error))
    return named.strip().partition(". ")[0][:200] or type(error).__name__


def _accuracy(api: Any, where: str, column: str) -> float:
    dataset, epochs, metric = COLUMNS[column]
    try:
        return float(api.get_more_info(0, dataset, hp=epochs, is_random=False)[metric])
    except Exception as error:  # the package answers what it does not have in many ways
        raise BadFile(
            f"{where} has no {column}; version 1.0 lacks the short training, give "
            f"NAS-Bench-201-v1_1-096897.pth."
        ) from error
