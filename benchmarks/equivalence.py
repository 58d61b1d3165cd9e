"""``python -m benchmarks.equivalence``: every strategy and bf16 against the oracle, as a table.

Twenty seeds on random digits; the held-out training images judge.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from bench import datasets, environment
from bench.equivalence import Verdict, compare, random_images
from bench.evaluation import Choice
from bench.randomness import generator
from bench.recipes import Precision, Recipe
from bench.statistics import summarize

WAYS: tuple[tuple[Choice, Precision], ...] = (
    ("parallel", "fp32"),
    ("vectorised", "fp32"),
    ("compiled", "fp32"),
    ("parallel-compiled", "fp32"),
    ("reference", "bf16"),
    ("compiled", "bf16"),
)
IPC, EPOCHS, NETWORK, DATASET = 10, 300, "convnet-d2-w32", "digits"


def verdicts(seeds: int) -> Iterator[Verdict]:
    """One verdict for each way; the oracle is trained once."""
    pair = datasets.load(DATASET, split="validation")
    test = pair.test.to(environment.choose_device("auto"))
    source = random_images(pair.train, IPC, generator("equivalence", DATASET, IPC))
    oracle: tuple[float, ...] = ()
    for strategy, precision in WAYS:
        recipe = Recipe(epochs=EPOCHS, precision=precision)
        verdict = compare(
            source, NETWORK, recipe, test, seeds=seeds, strategy=strategy, oracle=oracle
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
    for found in verdicts(int(sys.argv[1]) if sys.argv[1:] else 20):
        print(row(found), flush=True)
