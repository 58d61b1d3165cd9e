"""``bench evaluate`` on a generator: it draws its images, as many as the budget says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import artifacts, datasets
from bench.generators import SyntheticGenerator
from bench.networks.gan import GanShape, build_gan
from bench.randomness import generator
from bench.specs import Budget, Header

SCORE = ("--dataset", "digits", "--seeds", "1", "--epochs", "2", "--json")


@pytest.fixture
def file(tmp_path: Path) -> str:
    """An untrained generator of digits, three images a class and epoch."""
    real = datasets.load("digits").train
    shape = GanShape(width=4, latent=12, num_classes=10, channels=1, size_px=8)
    network, _ = build_gan(shape, generator("evaluate"))
    header = Header(
        dataset="digits",
        classes=real.spec.classes,
        budget=Budget("inpc", 3),
        preprocessing=real.preprocessing.header(),
        method="dim",
    )
    source = SyntheticGenerator.of(network, shape, real.preprocessing, 3)
    path = tmp_path / "generator.safetensors"
    artifacts.save(replace(source, header=header), path)
    return str(path)


def test_a_generator_is_scored_with_its_own_budget_or_another(bench: Any, file: str) -> None:
    rows = []
    for more in ((), ("--budget", "inpc 3"), ("--budget", "5")):
        code, out, _ = bench("evaluate", file, *SCORE, *more)
        assert code == 0
        rows.append(json.loads(out)["rows"][0]["accuracies"])
    own, same, other = rows
    assert own == same != other


def test_a_generator_of_other_images_is_refused(bench: Any, file: str) -> None:
    code, out, err = bench("evaluate", file, "--dataset", "digits@16", *SCORE[2:])
    assert (code, out) == (2, "")
    assert "size_px" in err or "16" in err
