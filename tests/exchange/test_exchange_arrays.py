"""Files of numpy and of safetensors are read, whatever their layout and byte order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from bench.errors import BadFile
from bench.exchange import Imported

ImportSet = Callable[..., Imported]


@pytest.mark.parametrize("compressed", [False, True])
def test_numpy_archives_are_read_channels_last_and_in_any_byte_order(
    compressed: bool, images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    save = np.savez_compressed if compressed else np.savez
    channels_last = np.asfortranarray(images.permute(0, 2, 3, 1).numpy()).astype(">f8")
    save(
        tmp_path / "set.npz", images=channels_last, labels=labels.numpy().astype("<u2"), note=["x"]
    )
    imported = import_set(tmp_path / "set.npz")
    assert torch.equal(imported.synthetic.images, images)
    assert torch.equal(imported.synthetic.labels, labels)
    assert "Channels were last and were moved." in imported.notes


def test_a_single_numpy_array_holds_images(
    images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    np.save(tmp_path / "set.npy", images.numpy())
    assert torch.equal(import_set(tmp_path / "set.npy").synthetic.labels, labels)


def test_foreign_safetensors_are_read(
    images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    tensors = {"images": images.half(), "labels": labels.int(), "lr": torch.tensor(0.5)}
    save_file(tensors, tmp_path / "set.safetensors")
    imported = import_set(tmp_path / "set.safetensors").synthetic
    assert torch.equal(imported.images, images.half().float())
    assert imported.labels.dtype == torch.int64
    assert imported.learning_rate == 0.5


def test_safetensors_without_images_are_refused(import_set: ImportSet, tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "set.safetensors")
    with pytest.raises(BadFile, match="holds weight, but no 'images'"):
        import_set(tmp_path / "set.safetensors")
