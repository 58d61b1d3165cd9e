"""The official file of NAS-Bench-201: what its package makes of it, and what is never unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import nas_conversion, nas_table
from bench.errors import BadFile, MissingData
from bench.nas import Cell

package = pytest.importorskip("nas_201_api", reason="the package nas-bench-201 is not installed")

CODES = ("421211", "303101", "000000")
TRAINED: dict[str, dict[str, tuple[str, ...]]] = {
    "200": {"cifar10": ("ori-test",), "cifar100": ("x-test",), "ImageNet16-120": ("x-test",)},
    "12": {
        "cifar10-valid": ("x-valid",),
        "cifar10": ("ori-test",),
        "cifar100": ("x-valid", "x-test"),
        "ImageNet16-120": ("x-valid", "x-test"),
    },
}


def accuracy(index: int, hp: str, dataset: str, split: str, seed: int) -> float:
    """A number that differs between all places of the file."""
    place = sorted(TRAINED["12"]).index(dataset)
    return 10.0 + 7 * index + place + 0.3 * len(split) + (hp == "12") / 2 + seed / 1e4


def results(index: int, hp: str) -> dict[str, Any]:
    """What the package stores of one cell and one length of training: two seeds, numpy numbers."""
    text, epochs = str(Cell.from_code(CODES[index])), 2
    found = package.ArchResults(index, text)
    for dataset, splits in TRAINED[hp].items():
        for seed in (777, 888):
            config = {"channel": 16, "num_cells": 5, "arch_str": text, "class_num": 10}
            losses = dict.fromkeys(range(epochs), 1.0)
            trial = package.ResultsCount(
                dataset, None, losses, losses, np.float64(1.5), 3.0, config, seed, epochs, None
            )
            for split in splits:
                last = np.float32(accuracy(index, hp, dataset, split, seed))
                trial.update_OLD_eval(split, {0: 1.0, 1: last}, {0: 2.0, 1: 2.0})
            found.update(dataset, seed, trial)
    state: dict[str, Any] = found.state_dict()
    return state


def official(folder: Path, *, legacy: bool = True, **changes: Any) -> Path:
    """A small file of the official layout; the published one is in torch's old format."""
    content = {
        "meta_archs": [str(Cell.from_code(code)) for code in CODES],
        "arch2infos": {
            index: {"full": results(index, "200"), "less": results(index, "12")}
            for index in range(len(CODES))
        },
        "evaluated_indexes": list(range(len(CODES))),
    }
    path = folder / "official.pth"
    torch.save(content | changes, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.mark.parametrize("legacy", [True, False])
def test_columns_are_the_means_over_seeds(tmp_path: Path, legacy: bool) -> None:
    cells = dict(nas_conversion.official_cells(official(tmp_path, legacy=legacy)))
    assert [Cell.parse(text).code for text in cells] == list(CODES)
    for index, found in enumerate(cells.values()):
        for column, value in found.items():
            dataset, split, epochs = column.split("_")
            where = {
                "cifar10_valid": ("cifar10-valid", "x-valid"),
                "cifar10_test": ("cifar10", "ori-test"),
                "imagenet16-120_valid": ("ImageNet16-120", "x-valid"),
                "imagenet16-120_test": ("ImageNet16-120", "x-test"),
            }.get(f"{dataset}_{split}", (dataset, f"x-{split}"))
            seeds = [accuracy(index, epochs, *where, seed) for seed in (777, 888)]
            assert value == pytest.approx(sum(seeds) / 2, abs=1e-4), column


def test_the_command_writes_a_table_that_is_read_back(bench: Any, tmp_path: Path) -> None:
    source = official(tmp_path)
    command = ["data", "convert", "nas-bench-201", str(source), "--to", "table.csv"]
    code, out, _ = bench(*command)
    assert (code, out) == (0, "table.csv: 3 cells\n")
    read = nas_table.read(tmp_path / "table.csv")
    assert set(read.columns) == set(nas_conversion.COLUMNS)
    assert set(read.columns["cifar10_test_200"]) == set(CODES)
    code, _, err = bench(*command)
    assert code == 2
    assert "add --overwrite" in err
    assert bench(*command, "--overwrite")[0] == 0


class Harmful:
    """Would create a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_nothing_but_plain_values_is_unpickled(tmp_path: Path) -> None:
    victim = tmp_path / "touched"
    path = official(tmp_path, extra=Harmful(victim))
    with pytest.raises(BadFile, match=r"GLOBAL \S+.*Nothing else is ever unpickled"):
        list(nas_conversion.official_cells(path))
    assert not victim.exists()


def test_even_the_packages_own_classes_are_refused(tmp_path: Path) -> None:
    path = official(tmp_path, extra=package.ArchResults(0, "x"))
    with pytest.raises(BadFile, match=r"nas_201_api\.api_utils\.ArchResults"):
        list(nas_conversion.official_cells(path))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"meta_archs": ["x"] * 3}, "names 3 cells and holds results of 3"),
        ({"meta_archs": ["x", "y", "z"]}, "'x' is no cell"),
        ({"meta_archs": 5}, "cannot be read"),
        ({"arch2infos": {}}, "holds results of 0"),
        ({"arch2infos": {n: {"full": {}, "less": {}} for n in range(3)}}, "cell 0 has no cifar"),
        ({"arch2infos": {name: {} for name in "abc"}}, "cell 0 cannot be read"),
    ],
)
def test_a_file_of_another_layout_is_refused(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadFile, match=sentence):
        list(nas_conversion.official_cells(official(tmp_path, **changes)))


def test_a_file_that_is_cut_short_or_missing_is_refused(tmp_path: Path) -> None:
    path = official(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BadFile, match="is damaged"):
        list(nas_conversion.official_cells(path))
    with pytest.raises(MissingData, match="There is no file"):
        list(nas_conversion.official_cells(tmp_path / "missing.pth"))


def test_without_the_package_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "nas_201_api", None)
    with pytest.raises(MissingData, match="pip install nas-bench-201"):
        list(nas_conversion.official_cells(tmp_path / "any.pth"))
