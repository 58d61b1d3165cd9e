"""Normalisation and ZCA whitening against independent float64 arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import preprocessing
from bench.errors import BadFile, InvalidValue
from bench.preprocessing import Preprocessing, Whitening
from bench.specs import DatasetSpec

SPEC = DatasetSpec(
    name="toy",
    classes=("a", "b"),
    channels=3,
    size_px=4,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
)


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(60, 1, 1, 1)) * 40  # correlates the features
    return torch.from_numpy((128 + shared + rng.normal(size=(60, 3, 4, 4)) * 30).clip(0, 255)).to(
        torch.uint8
    )


@pytest.fixture(scope="module")
def zca(pixels: torch.Tensor) -> Preprocessing:
    return Preprocessing.fit_zca(pixels)


def reference_zca(pixels: torch.Tensor, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Feature mean and W = U (S + ε)^(-1/2) Uᵀ in float64 NumPy."""
    flat = pixels.numpy().reshape(len(pixels), -1) / 255
    eigenvalues, vectors = np.linalg.eigh(np.cov(flat, rowvar=False, ddof=1))
    return flat.mean(0), vectors @ np.diag((eigenvalues + epsilon) ** -0.5) @ vectors.T


def test_normalize_subtracts_mean_and_divides_by_std(pixels: torch.Tensor) -> None:
    images = Preprocessing.normalize(SPEC).forward(pixels)
    mean, std = (np.array(values).reshape(1, 3, 1, 1) for values in (SPEC.mean, SPEC.std))
    expected = (pixels.numpy().astype(np.float64) / 255 - mean) / std
    assert images.dtype == torch.float32
    np.testing.assert_allclose(images.numpy(), expected, atol=2e-6)


def test_zca_agrees_with_an_independent_float64_rendering(
    pixels: torch.Tensor, zca: Preprocessing
) -> None:
    mean, matrix = reference_zca(pixels, 0.1)
    assert zca.whitening is not None
    np.testing.assert_allclose(zca.whitening.mean.flatten().numpy(), mean, atol=1e-7)
    np.testing.assert_allclose(zca.whitening.matrix.numpy(), matrix, atol=1e-6)
    flat = pixels.numpy().reshape(len(pixels), -1) / 255
    expected = ((flat - mean) @ matrix).reshape(pixels.shape)
    np.testing.assert_allclose(zca.forward(pixels).numpy(), expected, atol=1e-5)


def test_zca_makes_the_covariance_that_epsilon_prescribes(
    pixels: torch.Tensor, zca: Preprocessing
) -> None:
    def spectrum(images: torch.Tensor) -> np.ndarray:
        flat = images.flatten(1).double().numpy()
        return np.linalg.eigvalsh(np.cov(flat, rowvar=False, ddof=1))

    before = spectrum(pixels / 255)
    np.testing.assert_allclose(spectrum(zca.forward(pixels)), before / (before + 0.1), atol=1e-5)


@pytest.mark.parametrize("kind", ["normalize", "zca"])
def test_inverse_undoes_forward_without_clipping(
    kind: str, pixels: torch.Tensor, zca: Preprocessing
) -> None:
    space = zca if kind == "zca" else Preprocessing.normalize(SPEC)
    torch.testing.assert_close(
        space.inverse(space.forward(pixels)), pixels / 255, atol=1e-5, rtol=0
    )
    outside = torch.full((2, 3, 4, 4), 1.5)
    torch.testing.assert_close(space.inverse(space.encode(outside)), outside, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["normalize", "zca"])
def test_encode_is_differentiable_and_leaves_its_argument_alone(
    kind: str, pixels: torch.Tensor, zca: Preprocessing
) -> None:
    space = zca if kind == "zca" else Preprocessing.normalize(SPEC)
    unit = (pixels[:1] / 255).double().requires_grad_()
    before = unit.detach().clone()
    assert torch.autograd.gradcheck(space.encode, (unit,))
    assert torch.equal(unit.detach(), before)


def test_forward_in_pieces_is_forward_at_once(
    pixels: torch.Tensor, zca: Preprocessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = zca.forward(pixels)
    monkeypatch.setattr(preprocessing, "CHUNK", 7)
    torch.testing.assert_close(zca.forward(pixels), whole)


def test_headers_are_json_and_name_the_space(pixels: torch.Tensor, zca: Preprocessing) -> None:
    normalize = Preprocessing.normalize(SPEC)
    assert json.loads(json.dumps(normalize.header())) == {
        "kind": "normalize",
        "mean": list(SPEC.mean),
        "std": list(SPEC.std),
    }
    header = zca.header()
    assert (header["kind"], header["epsilon"]) == ("zca", 0.1)
    assert len(header["matrix_sha256"]) == 64
    spaces = [normalize, zca, Preprocessing.fit_zca(pixels, 0.2), Preprocessing.fit_zca(pixels[1:])]
    assert len({space.digest for space in spaces}) == len(spaces)


def test_zca_has_one_name_however_its_last_bits_fall(
    pixels: torch.Tensor, zca: Preprocessing
) -> None:
    shuffled = pixels[torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))]
    assert Preprocessing.fit_zca(shuffled).digest == zca.digest


def test_a_saved_transform_comes_back_whole(zca: Preprocessing, tmp_path: Path) -> None:
    assert zca.whitening is not None
    zca.whitening.save(tmp_path / "zca.safetensors")
    loaded = Preprocessing.zca(Whitening.load(tmp_path / "zca.safetensors"))
    assert loaded.whitening is not None
    assert torch.equal(loaded.whitening.matrix, zca.whitening.matrix)
    assert torch.equal(loaded.whitening.inverse, zca.whitening.inverse)
    assert loaded.digest == zca.digest


def test_a_damaged_transform_is_refused(zca: Preprocessing, tmp_path: Path) -> None:
    path = tmp_path / "zca.safetensors"
    assert zca.whitening is not None
    zca.whitening.save(path)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadFile, match="damaged"):
        Whitening.load(path)


def test_zca_refuses_what_it_cannot_fit(
    pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidValue, match="at least 2"):
        Preprocessing.fit_zca(pixels[:1])
    monkeypatch.setattr(preprocessing, "FIT_LIMIT_BYTES", 1000)
    with pytest.raises(InvalidValue, match="normalize"):
        Preprocessing.fit_zca(pixels)
