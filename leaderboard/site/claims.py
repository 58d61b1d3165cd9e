"""Claims under audit: where a paper's text contradicts its tables, another paper, or measurement.

The claims are data, ``leaderboard/reported/claims.toml``; their statements are in our own words.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import BadFile

Sentence = Annotated[str, Field(min_length=1)]


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Printed(_Facts):
    """A number of the audit, as ``reported/*.csv`` holds it."""

    paper: str
    table: str
    dataset: str
    budget: str
    method: str
    architecture: str
    printed: str


class Finding(_Facts):
    """What we found.

    Attributes:
        kind: ``measured`` or ``forecast`` by our code, or ``recounted`` from the printed tables.
        result: what came out.
        command: finds it again.
        page: the page of the site with the figures behind it, linked to where the site has it;
            ``""`` where none has them.
    """

    kind: Literal["measured", "forecast", "recounted"]
    result: Sentence
    command: Sentence
    page: str = ""


class Claim(_Facts):
    """One claim.

    Attributes:
        id: a short name for links.
        paper: who claims it.
        place: where it stands.
        states: what it says, in our words.
        against: what contradicts it, and where that stands.
        numbers: printed numbers that the contradiction rests on.
        found: what we found; ``()`` where nothing has been measured here.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    paper: Sentence
    place: Sentence
    states: Sentence
    against: Sentence
    numbers: tuple[Printed, ...] = ()
    found: tuple[Finding, ...] = ()


class _File(_Facts):
    claim: tuple[Claim, ...]


def claims() -> tuple[Claim, ...]:
    """Every claim, in the order of the file.

    Raises:
        BadFile: the file is no valid list of claims.
    """
    source = files("leaderboard") / "reported" / "claims.toml"
    try:
        return _File.model_validate(tomllib.loads(source.read_text(encoding="utf-8"))).claim
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadFile(f"{source} cannot be read: {error}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise BadFile(f"{source} is wrong at {place}: {first['msg']}.") from error
