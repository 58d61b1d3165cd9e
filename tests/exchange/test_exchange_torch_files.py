"""What torch.save wrote is read as each project writes it: trajectories, results, plain tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.errors import BadFile, InvalidValue
from bench.exchange import Imported

ImportSet = Callable[..., Imported]


# ---- torch.save: MTT, TESLA, FTD, DATM


def write_trajectory(folder: Path, it: str, images: Tensor, labels: Tensor, rate: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(images.clone().requires_grad_(), folder / f"images_{it}.pt")
    torch.save(labels, folder / f"labels_{it}.pt")
    if rate is not None:
        torch.save(rate, folder / f"lr_{it}.pt")


@pytest.mark.parametrize("given", ["folder", "images_best.pt"])
def test_mtts_folder_and_its_images_give_the_same_set(
    given: str, images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    write_trajectory(tmp_path, "best", images, labels, torch.tensor(0.02))
    write_trajectory(tmp_path, "5000", images + 1, labels, torch.tensor(0.03))
    imported = import_set(tmp_path if given == "folder" else tmp_path / given)
    synthetic = imported.synthetic
    assert torch.equal(synthetic.images, images)
    assert torch.equal(synthetic.labels, labels)
    assert synthetic.learning_rate == pytest.approx(0.02)
    assert not synthetic.images.requires_grad
    assert "images_best.pt, labels_best.pt, lr_best.pt" in imported.notes[0]


def test_without_a_best_the_latest_iteration_is_taken(
    images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    for it in ("900", "1000"):
        write_trajectory(tmp_path, it, images * (1 + int(it) / 1e6), labels, None)
    imported = import_set(tmp_path)
    assert torch.equal(imported.synthetic.images, images * (1 + 1000 / 1e6))
    assert imported.synthetic.learning_rate is None


@pytest.mark.parametrize("rate", [0.02, torch.tensor(0.02), torch.tensor([0.02])])
def test_a_learning_rate_may_be_a_number_or_a_tensor_and_stand_alone(
    rate: Any, images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    write_trajectory(tmp_path, "best", images, labels, None)
    torch.save(rate, tmp_path / "lr.pt")
    assert import_set(tmp_path).synthetic.learning_rate == pytest.approx(0.02)


@pytest.mark.parametrize("rate", [-0.1, float("nan"), torch.zeros(2), "fast", torch.tensor(0.0)])
def test_a_learning_rate_that_is_no_positive_number_is_refused(
    rate: Any, images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    write_trajectory(tmp_path, "best", images, labels, rate)
    with pytest.raises(BadFile, match="learning rate that is no positive number"):
        import_set(tmp_path)


def test_datms_logits_come_from_the_folder_normal(
    images: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    logits = torch.randn(6, 3).mul(5).requires_grad_()
    write_trajectory(tmp_path / "Normal", "best", images, logits, torch.tensor(0.02))
    synthetic = import_set(tmp_path).synthetic
    assert torch.equal(synthetic.labels, logits)
    assert synthetic.label_kind == "soft"


def test_ftds_two_variants_are_not_chosen_between(
    images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    for variant in ("Normal", "ema"):
        write_trajectory(tmp_path / variant, "best", images, labels, None)
    with pytest.raises(BadFile, match=r"several variants of a set \(Normal, ema; FTD delivers ema"):
        import_set(tmp_path)
    assert torch.equal(import_set(tmp_path / "ema").synthetic.images, images)


def test_zca_previews_mark_the_run_as_whitened(
    images: Tensor, labels: Tensor, pixels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    write_trajectory(tmp_path, "500", images, labels, None)
    torch.save(pixels / 255, tmp_path / "images_zca_500.pt")
    with pytest.raises(BadFile, match="the folder or its files say that the images are ZCA"):
        import_set(tmp_path)
    preview = import_set(tmp_path / "images_zca_500.pt")
    assert "not what the students saw" in " ".join(preview.notes)
    assert torch.equal(preview.synthetic.labels, labels)


# ---- torch.save: DC, DSA, DM, dictionaries, tensors


def write_results(path: Path, sets: list[tuple[Tensor, Tensor]]) -> Path:
    accuracies = {"ConvNet": [np.float64(0.3), np.array([0.1, 0.2])]}
    torch.save({"data": [list(pair) for pair in sets], "accs_all_exps": accuracies}, path)
    return path


def test_dcs_results_give_their_last_set_or_the_one_asked_for(
    images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    sets = [(images * scale, labels) for scale in (1.0, 1.1, 1.2)]
    path = write_results(tmp_path / "res_DC_CIFAR10_ConvNet_1ipc.pt", sets)
    last = import_set(path)
    assert torch.equal(last.synthetic.images, sets[2][0])
    assert "3 sets; number 2, counted from 0" in " ".join(last.notes)
    assert torch.equal(import_set(path, index=0).synthetic.images, images)
    with pytest.raises(InvalidValue, match=r"index 3 must lie in \[0, 3\)"):
        import_set(path, index=3)


def test_dcs_noise_is_not_suspected_of_whitening(
    labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    noise = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    path = write_results(tmp_path / "res_DC.pt", [(noise, labels)])
    assert torch.equal(import_set(path).synthetic.images, noise)


def test_an_index_into_a_single_set_is_refused(
    images: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    torch.save(images, tmp_path / "set.pt")
    with pytest.raises(InvalidValue, match="holds one set; leave the index 2 out"):
        import_set(tmp_path / "set.pt", index=2)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("content", ["dictionary", "pair", "tensor"])
def test_plain_torch_files_are_read(
    content: str,
    legacy: bool,
    images: Tensor,
    labels: Tensor,
    import_set: ImportSet,
    tmp_path: Path,
) -> None:
    contents = {
        "dictionary": {"images": images, "labels": labels, "syn_lr": torch.tensor(0.5)},
        "pair": (images, labels),
        "tensor": images,
    }
    path = tmp_path / "set.pth"
    torch.save(contents[content], path, _use_new_zipfile_serialization=not legacy)
    imported = import_set(path)
    assert torch.equal(imported.synthetic.images, images)
    assert torch.equal(imported.synthetic.labels, labels)
    assert imported.synthetic.learning_rate == (0.5 if content == "dictionary" else None)
    implied = "rows were taken as sorted by class, 2 each" in " ".join(imported.notes)
    assert implied == (content == "tensor")


def test_network_weights_are_no_synthetic_set(import_set: ImportSet, tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "generator.pt")
    with pytest.raises(BadFile, match=r"holds bias, weight, but no 'images'.*no synthetic set"):
        import_set(tmp_path / "generator.pt")
