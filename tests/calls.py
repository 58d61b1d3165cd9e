"""Commands of the leaderboard as a user calls them."""

from __future__ import annotations

import typer
from click.testing import Result
from typer.testing import CliRunner

from leaderboard import command


def call(*words: str) -> Result:
    """``bench leaderboard`` with these words."""
    return CliRunner().invoke(command.app, words)


def compare(*words: str) -> Result:
    """``bench compare`` with these words."""
    app = typer.Typer()
    app.command()(command.compare)
    return CliRunner().invoke(app, words)
