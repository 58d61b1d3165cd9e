"""Labels are read as indices or logits, whatever a project stores; what does not fit is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.errors import BadFile
from bench.exchange import Imported

ImportSet = Callable[..., Imported]


@pytest.fixture
def import_labels(images: Tensor, import_set: ImportSet, tmp_path: Path) -> ImportSet:
    def import_labels(labels: Tensor, **options: Any) -> Imported:
        torch.save((images, labels), tmp_path / "set.pt")
        return import_set(tmp_path / "set.pt", **options)

    return import_labels


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_probabilities_become_logits_with_the_same_softmax(
    dtype: torch.dtype, import_labels: ImportSet
) -> None:
    probabilities = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).softmax(1)
    imported = import_labels(probabilities.to(dtype))
    torch.testing.assert_close(
        imported.synthetic.labels.softmax(1), probabilities, rtol=1e-2, atol=1e-3
    )
    assert "Labels are probabilities; their logarithms were taken as logits." in imported.notes


def test_a_probability_of_zero_stays_finite(import_labels: ImportSet) -> None:
    probabilities = torch.tensor([[0.0, 0.25, 0.75]]).repeat(6, 1)
    logits = import_labels(probabilities).synthetic.labels
    torch.testing.assert_close(logits.softmax(1), probabilities)


def test_logits_are_kept_bit_for_bit(import_labels: ImportSet) -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(import_labels(logits).synthetic.labels, logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_one_hot_labels_are_class_indices(
    dtype: torch.dtype, labels: Tensor, import_labels: ImportSet
) -> None:
    imported = import_labels(torch.eye(3, dtype=dtype)[labels])
    assert torch.equal(imported.synthetic.labels, labels)
    assert "One-hot labels were taken as class indices." in imported.notes


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32])
def test_class_indices_of_any_type_are_read(
    dtype: torch.dtype, labels: Tensor, import_labels: ImportSet
) -> None:
    assert torch.equal(import_labels(labels.to(dtype)[:, None]).synthetic.labels, labels)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.tensor([0, 0, 1, 1, 2, 3]), "labels from 0 to 3; toy has the labels 0 to 2"),
        (torch.tensor([-1, 0, 1, 1, 2, 2]), "labels from -1 to 2"),
        (torch.tensor([0, 0.5, 1, 1, 2, 2]), "fractional class indices"),
        (torch.full((6, 3), float("nan")), "labels that are NaN or infinite"),
        (torch.zeros(5, dtype=torch.int64), r"6 images but labels of shape \(5,\)"),
        (torch.zeros(6, 4), r"expected \(6,\) class indices or \(6, 3\) logits"),
        (torch.zeros(6, 3, 1), "labels of shape"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    wrong: Tensor, message: str, import_labels: ImportSet
) -> None:
    with pytest.raises(BadFile, match=message):
        import_labels(wrong)


def test_unequal_classes_are_noted(import_labels: ImportSet) -> None:
    imported = import_labels(torch.tensor([0, 0, 0, 1, 2, 2]))
    assert "Classes have from 1 to 3 images each." in imported.notes
