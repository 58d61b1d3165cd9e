"""The ``bench`` command: parse, call, print; no logic.

Exit codes: 0 done; 1 the work ran and something in it failed; 2 the user asked for something
impossible; 130 the user interrupted it. Data go to stdout, progress to stderr.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from bench import plugins
from bench.errors import BenchError

INTERRUPTED = 130
"""The exit code that shells give to what SIGINT ended."""


class _Commands(TyperGroup):
    """The framework's own commands and those that plug-ins register."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted({*super().list_commands(ctx), *plugins.names("commands")})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in plugins.names("commands"):
            return own
        registered = plugins.load("commands", cmd_name)
        if not isinstance(registered, typer.Typer):
            function = registered
            registered = typer.Typer(add_completion=False, rich_markup_mode="markdown")
            registered.command(cmd_name)(function)
        command = typer.main.get_command(registered)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an interrupt ends it with a sentence, where typer alone says nothing."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            typer.echo(str(interrupt) or "Interrupted.", err=True)
            raise typer.Exit(INTERRUPTED) from interrupt


app = typer.Typer(
    cls=_Commands,
    name="bench",
    help="The benchmark for dataset distillation: frozen protocols, honest numbers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        import bench

        typer.echo(f"bench {bench.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", callback=_version, is_eager=True
    ),
) -> None:
    pass


def _register() -> None:
    from bench.cli import data, equivalence, evaluate, exchange, listing, profile, run

    app.command("run")(run.run)
    app.command("evaluate")(evaluate.evaluate)
    app.command("equivalence")(equivalence.equivalence)
    app.command("export")(exchange.export)
    app.command("list")(listing.listing)
    app.command("profile")(profile.profile)
    app.add_typer(data.app, name="data")


_register()


def main() -> None:
    """Entry point of the ``bench`` command."""
    import logging

    for stream in (sys.stdout, sys.stderr):  # a poor locale must cost characters, not the result
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        app()
    except BenchError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
