"""What an imported set must hold, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench import artifacts, files
from bench.data import SyntheticSet
from bench.errors import BadFile
from bench.exchange import Imported
from bench.preprocessing import Preprocessing
from bench.specs import Budget, DatasetSpec

ImportSet = Callable[..., Imported]


def test_the_budget_follows_from_the_count(
    images: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    torch.save(images, tmp_path / "set.pt")
    header = import_set(tmp_path / "set.pt").synthetic.header
    assert header is not None
    assert header.budget == Budget("ipc", 2)


@pytest.mark.parametrize(
    ("count", "budget", "message"),
    [
        (5, None, "5 images, which is no multiple of the 3 classes"),
        (0, None, "holds no images"),
        (6, Budget("ipc", 1), "6 images; toy at ipc 1 has 3 × 1 = 3"),
        (6, Budget("inpc", 2), "the budget inpc 2 is for generators"),
        (5, Budget("full", 0), "5 images of 3 classes without labels"),
    ],
)
def test_a_count_that_is_not_classes_times_ipc_is_refused(
    count: int,
    budget: Budget | None,
    message: str,
    images: Tensor,
    import_set: ImportSet,
    tmp_path: Path,
) -> None:
    torch.save(images[:count], tmp_path / "set.pt")
    with pytest.raises(BadFile, match=message):
        import_set(tmp_path / "set.pt", budget=budget)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(6, 3, 8, 8), r"shape \(6, 3, 8, 8\); toy needs \(N, 3, 16, 16\)"),
        (torch.zeros(6, 768), "shape"),
        (torch.zeros(6, 1, 16, 16), "shape"),
        (torch.zeros(()), "shape"),
        (torch.full((6, 3, 16, 16), float("nan")), "NaN or infinity"),
        (torch.full((6, 3, 16, 16), 1e300, dtype=torch.float64), "NaN or infinity"),
        (torch.zeros(6, 3, 16, 16, dtype=torch.complex64), "complex64; give float32"),
        (torch.zeros(6, 3, 16, 16).to_sparse(), "no ordinary dense tensor"),
        (torch.zeros(6, 3, 16, 16, device="meta"), "no ordinary dense tensor"),
    ],
)
def test_images_that_do_not_fit_are_refused(
    images: Tensor, message: str, import_set: ImportSet, tmp_path: Path
) -> None:
    torch.save(images, tmp_path / "set.pt")
    with pytest.raises(BadFile, match=message):
        import_set(tmp_path / "set.pt")


def test_an_imported_set_says_where_it_came_from(
    images: Tensor,
    spec: DatasetSpec,
    normalise: Preprocessing,
    import_set: ImportSet,
    tmp_path: Path,
) -> None:
    torch.save(images, tmp_path / "set.pt")
    header = import_set(tmp_path / "set.pt").synthetic.header
    assert header is not None
    assert (header.dataset, header.classes, header.method) == ("toy", spec.classes, "imported")
    assert header.preprocessing == normalise.header()
    assert header.created == {
        "source": "set.pt",
        "sha256": files.file_digest(tmp_path / "set.pt"),
        "layout": "one tensor of images",
        "space": "model-input",
    }


def test_an_imported_set_can_be_saved(
    images: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    torch.save(images, tmp_path / "set.pt")
    imported = import_set(tmp_path / "set.pt").synthetic
    artifacts.save(imported, tmp_path / "set.safetensors")
    assert import_set(tmp_path / "set.safetensors").synthetic.header == imported.header


def test_a_set_of_ours_keeps_its_header_and_bits(
    synthetic: SyntheticSet, import_set: ImportSet, tmp_path: Path
) -> None:
    artifacts.save(synthetic, tmp_path / "set.safetensors")
    imported = import_set(tmp_path / "set.safetensors").synthetic
    assert torch.equal(imported.images, synthetic.images)
    assert (imported.learning_rate, imported.header) == (0.1, synthetic.header)


def test_logits_of_ours_that_look_like_probabilities_stay_logits(
    synthetic: SyntheticSet, import_set: ImportSet, tmp_path: Path
) -> None:
    logits = torch.full((6, 3), 1 / 3)
    artifacts.save(replace(synthetic, labels=logits), tmp_path / "set.safetensors")
    assert torch.equal(import_set(tmp_path / "set.safetensors").synthetic.labels, logits)


def test_a_set_of_another_dataset_is_refused_unless_the_classes_are_the_same(
    synthetic: SyntheticSet, spec: DatasetSpec, import_set: ImportSet, tmp_path: Path
) -> None:
    artifacts.save(synthetic, tmp_path / "set.safetensors")
    twin = import_set(tmp_path / "set.safetensors", spec=replace(spec, name="toy-jpeg"))
    assert "Distilled from toy, whose classes are those of toy-jpeg." in twin.notes
    other = replace(spec, name="other", classes=("zebra", "mole", "ant"))
    with pytest.raises(BadFile, match=r"was distilled from toy .* Evaluate it on toy"):
        import_set(tmp_path / "set.safetensors", spec=other)


@pytest.mark.parametrize(
    ("name", "message"),
    [("set.pkl", "no known ending; give a file ending in"), ("set.pt", "not exist")],
)
def test_what_is_no_file_of_a_known_format_is_refused(
    name: str, message: str, import_set: ImportSet, tmp_path: Path
) -> None:
    with pytest.raises(BadFile, match=message):
        import_set(tmp_path / name)


def test_an_empty_folder_is_refused_with_what_was_expected(
    import_set: ImportSet, tmp_path: Path
) -> None:
    with pytest.raises(BadFile, match=r"holds neither synthetic\.safetensors, nor images_<iter"):
        import_set(tmp_path)
