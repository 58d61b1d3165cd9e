"""Strategies and precisions on the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import artifacts
from bench.errors import InvalidValue
from bench.specs import Budget, Header
from bench.store import Store
from tests.fakes import SPEC, tiny_pair

pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def file(tmp_path: Path) -> str:
    """One real image of each class of the tiny dataset."""
    real = tiny_pair().train
    header = Header(
        dataset="tiny",
        classes=SPEC.classes,
        budget=Budget("ipc", 1),
        preprocessing=real.preprocessing.header(),
        method="random",
    )
    chosen = real.subset(torch.stack([places[0] for places in real.class_indices]))
    path = tmp_path / "set.safetensors"
    artifacts.save(replace(chosen, header=header), path)
    return str(path)


SCORE = ("--dataset", "tiny", "--network", "convnet-d1-w8", "--seeds", "2", "--epochs", "4")


def test_evaluate_trains_as_it_is_told_and_says_so(bench: Any, file: str) -> None:
    rows = []
    for strategy in ("auto", "reference", "vectorised", "parallel"):
        code, out, _ = bench("evaluate", file, *SCORE, "--json", "--strategy", strategy)
        assert code == 0
        rows.append(json.loads(out)["rows"][0])
    assert [row["strategy"] for row in rows] == ["reference", "reference", "vectorised", "parallel"]
    assert len({tuple(row["accuracies"]) for row in rows}) == 1


def test_evaluate_takes_a_precision(bench: Any, file: str) -> None:
    code, out, _ = bench("evaluate", file, *SCORE, "--json", "--precision", "bf16")
    assert code == 0
    assert json.loads(out)["rows"][0]["recipe"]["precision"] == "bf16"


@pytest.mark.parametrize(
    ("option", "value"),
    [("--strategy", "fastest"), ("--precision", "fp8"), ("--precision", "tf32")],
)
def test_what_is_unknown_or_elsewhere_is_refused(
    bench: Any, file: str, option: str, value: str
) -> None:
    code, out, err = bench("evaluate", file, *SCORE, option, value, "--device", "cpu")
    assert (code, out) == (2, "")
    assert value in err


RUN = ("run", "--protocol", "tiny-grid", "--method", "random", "--jobs", "1", "--device", "cpu")
COMPARE = ("equivalence", "--dataset", "tiny", "--network", "convnet-d1-w8", "--device", "cpu")


def test_a_run_in_bf16_names_the_command_that_opens_its_door(bench: Any) -> None:
    code, out, err = bench(*RUN, "--precision", "bf16")
    assert (code, out) == (2, "")
    assert "bench equivalence --precision bf16 --dataset tiny --network convnet-d1-w8" in err


def test_an_equivalence_is_printed_and_noted(bench: Any, store: Store) -> None:
    code, out, _ = bench(*COMPARE, "--epochs", "20", "--ipc", "2", "--store", str(store.root))
    assert code == 0
    assert "accuracy %" in out
    assert "Difference +0.00 points, 95 % interval [+0.00, +0.00] points; 20 epochs on 6" in out
    assert list(store.root.rglob("fp32-reference.json"))


def test_students_at_chance_end_with_exit_code_1(bench: Any) -> None:
    code, out, _ = bench(*COMPARE, "--epochs", "1", "--ipc", "1", "--json")
    found = json.loads(out)
    assert (code, found["equivalent"]) == (1, False)
    assert "too near to chance" in found["flaw"]
    assert found["reference"] == found["faster"]


def test_a_difference_ends_with_exit_code_1(bench: Any) -> None:
    code, out, _ = bench(*COMPARE, "--epochs", "6", "--ipc", "2", "--precision", "bf16", "--json")
    found = json.loads(out)
    assert code == (0 if found["equivalent"] else 1)
    assert (found["precision"], len(found["faster"])) == ("bf16", 20)


def test_a_tier_names_the_network_of_its_runs(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import equivalence

    compared = []

    def compare(_: object, network: str, *__: object, **___: object) -> None:
        compared.append(network)
        raise InvalidValue("enough")

    monkeypatch.setattr(equivalence, "compare", compare)
    for more in ((), ("--tier", "quick"), ("--tier", "paper")):
        assert bench("equivalence", "--dataset", "digits", *more)[0] == 2
    assert compared == ["convnet-d2", "convnet-d2-w32", "convnet-d2"]
    code, _, err = bench(*COMPARE, "--tier", "quick")
    assert code == 2
    assert "--tier or --network" in err


def test_evaluate_says_by_which_recipe(bench: Any, file: str) -> None:
    one = [word if word != "2" else "1" for word in SCORE]
    code, out, _ = bench("evaluate", file, *one, "--augmentation", "none")
    assert code == 0
    assert "Recipe: 4 epochs in batches of 256, augmentation none, learning rate 0.01" in out
    assert "1 seed, convnet-d1-w8 on tiny" in out
    assert "±" not in out
