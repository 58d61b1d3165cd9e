"""``bench export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options as shared
from bench.cli.options import DataRootOption

if TYPE_CHECKING:
    from bench.data import SyntheticSet
    from bench.preprocessing import Preprocessing


def export(
    file: Annotated[Path, typer.Argument(help="A synthetic set of this suite (.safetensors).")],
    to: Annotated[str, typer.Option("--to", help="parquet, folder or pt.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Target; a file gets the ending of its format. Default: beside FILE.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a target that exists.")
    ] = False,
    data_root: DataRootOption = None,
) -> None:
    """Hand a synthetic set to other tools; reading it back gives the same bits.

    Pictures for the eye are de-normalised to 8 bits; the exact tensors stand beside them.

    Example: `bench export synthetic.safetensors --to parquet`
    """
    from bench import artifacts, exchange

    shared.known("export format", [to], exchange.TARGETS)
    synthetic = artifacts.load_set(file)
    suffix = {"folder": ""}.get(to, f".{to}")
    target = output or file.with_suffix(suffix)
    space = _pixel_space(synthetic, data_root)
    made = exchange.write(synthetic, target, to, preprocessing=space, overwrite=overwrite)
    typer.echo(str(made))


def _pixel_space(synthetic: SyntheticSet, data_root: Path | None) -> Preprocessing | None:
    """The map back to pixels; a ZCA transform has to be fitted to the real data again."""
    from bench import datasets

    header = synthetic.header
    if header is None or header.preprocessing.get("kind") != "zca":
        return None
    pair = datasets.load(header.dataset, data_root=data_root, preprocessing="zca")
    return pair.train.preprocessing
