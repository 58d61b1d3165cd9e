"""From a dataset's name to the place it is read from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench import plugins
from bench.datasets import locations
from bench.datasets.custom import Custom
from bench.datasets.dataset import Dataset, Reading
from bench.errors import BadFile, ContractError, MissingData
from bench.specs import DatasetSpec


class Source(Protocol):
    """A dataset at a place on this machine."""

    @property
    def name(self) -> str:
        """The name that tables show."""

    @property
    def root(self) -> Path:
        """Where it is looked for."""

    @property
    def spec(self) -> DatasetSpec | None:
        """What it is, if that is known without reading it."""

    def identity(self) -> str:
        """A text that changes with the rule by which files become tensors."""

    def files(self) -> tuple[Path, ...]:
        """Every file that is read; none if any is missing."""

    def missing(self) -> str:
        """Why it cannot be read and how to get it, where :meth:`files` finds none."""

    def read(self) -> Reading:
        """Read and check it.

        Raises:
            BadFile: a file is broken, hostile, or not what the dataset should be.
        """


@dataclass(frozen=True)
class Registered:
    """A registered dataset under a data root."""

    dataset: Dataset
    root: Path

    @property
    def name(self) -> str:
        """The registered name."""
        return self.dataset.spec.name

    @property
    def spec(self) -> DatasetSpec:
        """The registered specification."""
        return self.dataset.spec

    def identity(self) -> str:
        """The reader with its parameters."""
        return repr(self.dataset.reader)

    def files(self) -> tuple[Path, ...]:
        """Every file that the reader reads."""
        return self.dataset.reader.files(self.root)

    def missing(self) -> str:
        """What is not where, and what to do."""
        given, layout = self.dataset, self.dataset.reader.layout
        if given.fetch is None:
            advice = f"{given.by_hand} {self.root / layout}"
        else:
            advice = f"Run `bench data fetch {self.name} --data-root {self.root}`"
        return (
            f"{given.title} is not under {self.root}. {advice}, or set BENCH_DATA to a folder "
            f"that holds {layout}."
        )

    def read(self) -> Reading:
        """Read and check it, and count its images."""
        given = self.dataset
        reading = Reading(given.spec, *given.reader.read(self.root, given.spec)).check(self.root)
        counts = (len(reading.train), len(reading.test))
        if counts != (given.train_count, given.test_count):
            raise BadFile(
                f"{given.title} under {self.root} has {counts[0]:,} training and {counts[1]:,} "
                f"test images; expected {given.train_count:,} and {given.test_count:,}."
            )
        return reading


def registered(name: str) -> Dataset:
    """The dataset that a package registered as ``name``.

    Raises:
        UnknownName: nothing is registered under that name.
        ContractError: what is registered is no dataset of that name.
    """
    dataset = plugins.load("datasets", name)
    if not isinstance(dataset, Dataset) or dataset.spec.name != name:
        raise ContractError(
            f"The dataset {name!r} is registered as {dataset!r:.100}; expected a "
            f"bench.datasets.Dataset whose specification has that name."
        )
    return dataset


def locate(name: str, root: Path | str | None) -> Source:
    """The source that ``name`` means: a registered dataset, or a path given as ``name=path``.

    Raises:
        UnknownName: nothing is registered under that name.
        InvalidValue: ``name=path`` of another form, or with a name that is taken.
    """
    if "=" in name:
        return Custom.parse(name, taken=plugins.names("datasets"))
    return Registered(registered(name), locations.data_root(root))


def require_files(source: Source) -> tuple[Path, ...]:
    """The files of a source.

    Raises:
        MissingData: they are not there; the message says how to get them.
    """
    files = source.files()
    if not files:
        raise MissingData(source.missing())
    return files


def fetch(name: str, data_root: Path | str | None = None) -> Path:
    """Download a dataset into a data root; return the folder or file that it is read from.

    Raises:
        UnknownName: no such dataset.
        MissingData: it has no download, or the network does not allow it.
    """
    source = locate(name, data_root)
    if not isinstance(source, Registered) or source.dataset.fetch is None:
        raise MissingData(source.missing())
    source.dataset.fetch(source.root)
    return common_path(require_files(source))


def common_path(files: tuple[Path, ...]) -> Path:
    """The folder that holds all of ``files``, or the one file."""
    return Path(os.path.commonpath(files))
