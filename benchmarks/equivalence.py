"""``python -m benchmarks.equivalence DATASET``: faster ways against the oracle, as a table.

Twenty seeds on random real images; the held-out training images judge.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from bench import datasets, environment
from bench.equivalence import FEWEST_SEEDS, Verdict, compare, random_images
from bench.evaluation import Choice
from bench.randomness import generator
from bench.recipes import Precision, Recipe
from bench.statistics import summarize

IPC = 10


@dataclass(frozen=True)
class Setting:
    """What students of one dataset are and how they are trained.

    Attributes:
        network: the students'.
        epochs: of each student.
        ways: the faster ones, as strategy and precision.
    """

    network: str
    epochs: int
    ways: tuple[tuple[Choice, Precision], ...]


SETTINGS = {
    "digits": Setting(
        "convnet-d2-w32",
        300,
        (
            ("parallel", "fp32"),
            ("vectorised", "fp32"),
            ("compiled", "fp32"),
            ("parallel-compiled", "fp32"),
            ("reference", "bf16"),
            ("compiled", "bf16"),
        ),
    ),
    "cifar10-jpeg75": Setting("convnet-d3", 60, (("compiled", "fp32"), ("compiled", "bf16"))),
}
"""Minutes of one core for digits, most of an hour for the others."""


def verdicts(dataset: str) -> Iterator[Verdict]:
    """One verdict for each way; the oracle is trained once."""
    pair, setting = datasets.load(dataset, split="validation"), SETTINGS[dataset]
    test = pair.test.to(environment.choose_device("auto"))
    source = random_images(pair.train, IPC, generator("equivalence", dataset, IPC))
    oracle: tuple[float, ...] = ()
    for strategy, precision in setting.ways:
        recipe = Recipe(epochs=setting.epochs, precision=precision)
        verdict = compare(
            source,
            setting.network,
            recipe,
            test,
            seeds=FEWEST_SEEDS,
            strategy=strategy,
            oracle=oracle,
        )
        oracle = verdict.reference
        yield verdict


def row(verdict: Verdict) -> str:
    """A line of the table."""
    reference, faster = summarize(verdict.reference), summarize(verdict.faster)
    low, high = verdict.interval
    cells = (
        verdict.strategy,
        verdict.precision,
        f"{100 * reference.mean:.2f} ± {100 * reference.std:.2f}",
        f"{100 * faster.mean:.2f} ± {100 * faster.std:.2f}",
        f"[{100 * low:+.2f}, {100 * high:+.2f}]",
        "yes" if verdict.equivalent else "no",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print("| strategy | precision | reference | this way | 95 % of the difference | equivalent |")
    print("|---|---|---|---|---|---|")
    for found in verdicts(*sys.argv[1:]):
        print(row(found), flush=True)
