"""The two pixel spaces of the field: per-channel normalisation and ZCA whitening.

Both are affine maps of pixels in [0, 1]. ``normalize`` subtracts a mean and divides by a standard
deviation, each a number per channel. ``zca`` takes an image as one vector of D = C·H·W features,
subtracts their mean µ and multiplies by W = U (S + ε)^(-1/2) Uᵀ, where U S Uᵀ is the unbiased
covariance of the training images; it replaces normalisation, as in MTT and its descendants
(GeorgeCazenavette/mtt-distillation, ``utils.py``). Nothing is clipped in either direction.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from bench.errors import BadFile, InvalidValue
from bench.files import digest, load_tensors, save_tensors
from bench.specs import DatasetSpec

Kind = Literal["normalize", "zca"]

EPSILON = 0.1
"""ε of ZCA in every paper of the field."""

FIT_LIMIT_BYTES = 16 * 2**30
"""ZCA is refused for training sets that would take more than this in float64."""

CHUNK = 1024
"""Images mapped at a time, so that a large set needs no second copy of itself."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Whitening:
    """A fitted ZCA transform.

    Attributes:
        mean: ``(C, H, W)`` float32, µ.
        matrix: ``(D, D)`` float32, W; symmetric.
        inverse: ``(D, D)`` float32, U (S + ε)^(1/2) Uᵀ.
        epsilon: ε.
        sha256: names µ and W, see :meth:`fit`.
    """

    mean: Tensor
    matrix: Tensor
    inverse: Tensor
    epsilon: float
    sha256: str

    @classmethod
    def fit(cls, pixels: Tensor, epsilon: float) -> Whitening:
        """Fit to ``(N, C, H, W)`` uint8 pixels, in float64, through kornia.

        The digest is taken of µ and W rounded to three decimals: linear algebra differs between
        machines in the last bits, and two machines must give one pixel space one name.

        Raises:
            InvalidValue: fewer than two images, or more than fit into memory.
        """
        if len(pixels) < 2 or 8 * pixels.numel() > FIT_LIMIT_BYTES:
            raise InvalidValue(
                f"ZCA cannot be fitted to {len(pixels)} images of {pixels[0:1].numel()} values: it "
                f"takes at least 2 and at most {FIT_LIMIT_BYTES // 2**30} GiB in float64. "
                f"Use the preprocessing 'normalize'."
            )
        from kornia.enhance import ZCAWhitening

        fitted = ZCAWhitening(eps=epsilon, unbiased=True, compute_inv=True)
        fitted.fit(pixels.double().div_(255))
        rounded = torch.cat([fitted.mean_vector, fitted.transform_matrix]).mul(1000).round()
        return cls(
            mean=fitted.mean_vector.view(pixels.shape[1:]).float(),
            matrix=fitted.transform_matrix.float(),
            inverse=fitted.transform_inv.float(),
            epsilon=epsilon,
            sha256=hashlib.sha256(rounded.to(torch.int32).numpy().tobytes()).hexdigest(),
        )

    def save(self, path: Path) -> None:
        """Write the transform as one checksummed file."""
        tensors = {"mean": self.mean, "matrix": self.matrix, "inverse": self.inverse}
        save_tensors(path, tensors, {"epsilon": self.epsilon, "sha256": self.sha256})

    @classmethod
    def load(cls, path: Path) -> Whitening:
        """Read a transform written by :meth:`save`.

        Raises:
            BadFile: the file is damaged or of another kind.
        """
        tensors, header = load_tensors(path)
        if set(tensors) != {"mean", "matrix", "inverse"} or set(header) != {"epsilon", "sha256"}:
            raise BadFile(f"{path} holds no ZCA transform.")
        return cls(
            mean=tensors["mean"],
            matrix=tensors["matrix"],
            inverse=tensors["inverse"],
            epsilon=header["epsilon"],
            sha256=header["sha256"],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Preprocessing:
    """A pixel space: the map from stored pixels to what a network sees, and back.

    Made by :meth:`normalize` or :meth:`fit_zca`.

    Attributes:
        kind: ``normalize`` or ``zca``.
        mean: ``(C, 1, 1)`` for ``normalize``, ``(C, H, W)`` for ``zca``; of pixels in [0, 1].
        std: ``(C, 1, 1)``; ones for ``zca``.
        whitening: the fitted transform of ``zca``.
    """

    kind: Kind
    mean: Tensor
    std: Tensor
    whitening: Whitening | None = None

    @classmethod
    def normalize(cls, spec: DatasetSpec) -> Preprocessing:
        """Subtract the dataset's channel means and divide by its standard deviations."""
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (spec.mean, spec.std))
        return cls(kind="normalize", mean=mean, std=std)

    @classmethod
    def fit_zca(cls, pixels: Tensor, epsilon: float = EPSILON) -> Preprocessing:
        """Fit ZCA whitening to ``(N, C, H, W)`` uint8 training pixels.

        Raises:
            InvalidValue: fewer than two images, or more than fit into memory.
        """
        return cls.zca(Whitening.fit(pixels, epsilon))

    @classmethod
    def zca(cls, whitening: Whitening) -> Preprocessing:
        """Whiten with a transform that was fitted before."""
        std = torch.ones(len(whitening.mean), 1, 1)
        return cls(kind="zca", mean=whitening.mean, std=std, whitening=whitening)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` uint8 pixels to float32 model-input images."""
        images = torch.empty(pixels.shape, device=pixels.device)
        for start in range(0, len(pixels), CHUNK):
            chunk = slice(start, start + CHUNK)
            images[chunk] = self.encode(pixels[chunk].float().div_(255))
        return images

    def encode(self, unit: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` floats in [0, 1] to model-input images; differentiable."""
        images = (unit - _like(self.mean, unit)) / _like(self.std, unit)
        return images if self.whitening is None else _multiply(images, self.whitening.matrix)

    def inverse(self, images: Tensor) -> Tensor:
        """Map model-input images back to floats, in [0, 1] for real images; never clipped."""
        if self.whitening is not None:
            images = _multiply(images, self.whitening.inverse)
        return images * _like(self.std, images) + _like(self.mean, images)

    def header(self) -> dict[str, Any]:
        """What a file says about its pixel space, as plain JSON values."""
        if self.whitening is not None:
            epsilon, sha256 = self.whitening.epsilon, self.whitening.sha256
            return {"kind": self.kind, "epsilon": epsilon, "matrix_sha256": sha256}
        mean, std = (_decimals(values) for values in (self.mean, self.std))
        return {"kind": self.kind, "mean": mean, "std": std}

    @property
    def digest(self) -> str:
        """SHA-256 of :meth:`header`: one name for one pixel space."""
        return digest(self.header())


def _multiply(images: Tensor, matrix: Tensor) -> Tensor:
    return (images.flatten(1) @ _like(matrix, images)).view_as(images)


def _like(constant: Tensor, images: Tensor) -> Tensor:
    """``constant`` beside ``images`` and in their type; the device is not waited for."""
    return constant.to(images, non_blocking=True)


def _decimals(values: Tensor) -> list[float]:
    return [float(f"{value:.7g}") for value in values.flatten().tolist()]
