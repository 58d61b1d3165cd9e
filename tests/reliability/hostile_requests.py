"""Presets, tables, references of datasets, and what the command line takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from bench import cards, nas_table
from bench.recipes import STANDARD
from bench.runner import Options, plan
from bench.specs import Budget
from tests.reliability.hostile import (
    TEXTS,
    VALUES,
    Family,
    through,
    torn,
)
from tests.reliability.runs import CHECKOUT


@st.composite
def toml(draw: st.DrawFn, good: str) -> bytes:
    """A card with lines replaced, removed or doubled, or values swapped for hostile ones."""
    lines = good.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        name, equals, _ = lines[at].partition("=")
        value = json.dumps(draw(VALUES))
        swapped = f"{name}= {{ value = {value}, source = 'x' }}"
        lines[at] = draw(
            st.sampled_from(
                [f"{name}{equals}{value}", f"{value} = 1", f"{lines[at]}\n{lines[at]}"],
            )
            | st.sampled_from(["", f"[{name.strip()}]", swapped, value])
        )
    return draw(torn(good.encode())) if draw(st.booleans()) else "\n".join(lines).encode()


def presets(folder: Path) -> Family:
    """Cards of methods, resolved for a trial as a plan does it."""
    good = (CHECKOUT / "methods" / "presets" / "mtt.toml").read_text()
    path = folder / "mtt.toml"
    budget = Budget("ipc", 1)

    def read(_: Path) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cards, "_card_path", lambda name: path)
            cards.card.cache_clear()
            resolved = cards.resolve("mtt", "quick", "cifar10", budget)
            cards.recipe_for("mtt", "native", STANDARD, "quick", "cifar10", budget)
            return cards.build("mtt", resolved.parameters)

    return Family(cases=toml(good), read=through(path, read))


def nas_tables(folder: Path) -> Family:
    """Tables of NAS-Bench-201."""
    cell = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
    good = f"index,arch_str,cifar10_test_200\n0,{cell},90.5\n1,{cell.replace('3x3', '1x1')},9\n"
    return Family(
        cases=torn(good.encode())
        | toml(good.replace(",", "=")).map(lambda b: b.replace(b"=", b",")),
        read=through(folder / "nas-bench-201.csv", nas_table.read),
    )


def references(folder: Path) -> Family:
    """Datasets of one's own by reference, and everything else that the command line takes."""
    (folder / "tree" / "a").mkdir(parents=True)
    texts = st.builds(
        "{}={}{}".format, TEXTS, TEXTS, st.sampled_from(["", "@8", "@0", "@-1", "@9999"])
    )
    inside = TEXTS.map(lambda text: f"mine={folder}/tree/{text}")

    def read(text: str) -> object:
        asked = Options(protocol="tiny-grid", methods=("walk",), datasets=(text,), device="cpu")
        return plan(asked)

    return Family(cases=texts | inside | TEXTS, read=read)


def requests(folder: Path) -> Family:
    """Names, budgets, parameters and tiers of a request."""

    def read(case: tuple[str, str, str, str, Any]) -> object:
        protocol, method, budget, parameter, value = case
        asked = Options(
            protocol=protocol,
            methods=(method,),
            budgets=(Budget.parse(budget),),
            changes={method: {parameter: value}},
            store=folder / "runs",
            device="cpu",
        )
        return plan(asked)

    counts = st.sampled_from(["ipc 2", "full", "²", "٣", "1" * 400]) | TEXTS
    return Family(
        cases=st.tuples(
            mostly("tiny-grid", TEXTS),
            mostly("walk", TEXTS),
            mostly("1", counts),
            mostly("iterations", TEXTS),
            VALUES,
        ),
        read=read,
    )


def mostly(good: str, others: SearchStrategy[str]) -> SearchStrategy[str]:
    """``good`` in three of four cases."""
    return st.integers(0, 3).flatmap(lambda draw: others if draw == 0 else st.just(good))
