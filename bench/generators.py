"""Synthetic sources that draw their images: a generator's weights and how to sample from it.

Batch norm works with the statistics of its training (eval mode, as DiM's release deploys it): an
image depends on its own latent alone, not on which images are drawn beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NoReturn

import torch
from torch import Generator, Tensor
from torch.func import functional_call

from bench.data import LabelKind
from bench.errors import ContractError
from bench.networks.gan import GanShape, ImageGenerator
from bench.preprocessing import Preprocessing
from bench.specs import Budget, DatasetSpec, Header

BATCH = 1024
"""Images generated at once."""

MAX_EPOCH_BYTES = 16 * 2**30
"""A generator is refused a budget whose epoch would take more; ImageNet-1K at 64 px, 200 images a
class, takes 10 GB."""


def to_signed(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Model-input images to [-1, 1], where a generator with tanh works."""
    return 2 * preprocessing.inverse(images) - 1


def from_signed(signed: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Images in [-1, 1] to model-input space, exactly: pixels (x + 1) / 2, then preprocessed."""
    return preprocessing.encode((signed + 1) / 2)


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticGenerator:
    """A conditional generator that draws a balanced set of new images for every epoch.

    Attributes:
        shape: the generator's layers.
        weights: its parameters and batch-norm statistics by name, float32.
        preprocessing: the pixel space of the images handed out; ``normalize``.
        per_class: images of each class in one epoch (INPC).
        header: what the generator says about itself; the framework fills it in.
    """

    shape: GanShape
    weights: Mapping[str, Tensor]
    preprocessing: Preprocessing
    per_class: int
    header: Header | None = None

    @classmethod
    def of(
        cls, network: ImageGenerator, shape: GanShape, preprocessing: Preprocessing, per_class: int
    ) -> SyntheticGenerator:
        """A trained network as a source; its weights are copied."""
        weights = {
            name: value.detach().clone()
            for name, value in network.state_dict().items()
            if value.is_floating_point()  # deployed, batch norm counts no batches
        }
        return cls(shape=shape, weights=weights, preprocessing=preprocessing, per_class=per_class)

    def __repr__(self) -> str:
        image = "×".join(map(str, (self.shape.channels, *[self.shape.size_px] * 2)))
        made = f", {self.header.method} on {self.header.dataset}" if self.header else ""
        return (
            f"SyntheticGenerator({self.stored_bytes:,} bytes, {self.per_class} images of {image} "
            f"per class and epoch{made})"
        )

    @property
    def label_kind(self) -> LabelKind:
        """Images are drawn for a class."""
        return "hard"

    @property
    def learning_rate(self) -> float | None:
        """A generator brings no learning rate along."""
        return None

    @property
    def stored_bytes(self) -> int:
        """Bytes of the weights, whatever the budget."""
        return sum(value.nbytes for value in self.weights.values())

    @property
    def device(self) -> torch.device:
        """Where images are drawn."""
        return next(iter(self.weights.values())).device

    @torch.no_grad()
    def epoch(self, rng: Generator) -> tuple[Tensor, Tensor]:
        """New images of every class, ``(K * per_class, C, H, W)``, with their class indices."""
        classes = torch.arange(self.shape.num_classes, device=self.device)
        labels = classes.repeat_interleave(self.per_class)
        latent = self.shape.draw_latent(labels, rng)
        signed = [
            functional_call(self._network, dict(self.weights), z) for z in latent.split(BATCH)
        ]
        return from_signed(torch.cat(signed), self.preprocessing), labels

    @cached_property
    def _network(self) -> ImageGenerator:
        """The layers without memory: the weights come with each call."""
        with torch.device("meta"):
            return ImageGenerator(self.shape).eval()

    def to(self, device: torch.device | str) -> SyntheticGenerator:
        """The same generator on another device."""
        weights = {name: value.to(device) for name, value in self.weights.items()}
        return replace(self, weights=weights)

    def with_budget(self, per_class: int) -> SyntheticGenerator:
        """The same generator deployed with another number of images per class and epoch.

        Raises:
            InvalidValue: fewer than one.
            ContractError: an epoch would take more memory than any machine should give it.
        """
        budget = Budget("inpc", per_class)
        header = self.header and replace(self.header, budget=budget)
        deployed = replace(self, per_class=per_class, header=header)
        deployed._check_size()
        return deployed

    def check(self, spec: DatasetSpec) -> SyntheticGenerator:
        """Return the generator itself if it fits ``spec``.

        Raises:
            ContractError: it draws other images or classes or too many, or its weights are not
                those of its layers or hold NaN or infinity.
        """
        for what in ("num_classes", "channels", "size_px"):
            made, wanted = getattr(self.shape, what), getattr(spec, what)
            if made != wanted:
                self._refuse(f"its {what} is {made}, but {spec.name} has {wanted}")
        if self.preprocessing.kind != "normalize":
            self._refuse("its images must be normalised, not whitened")
        self._check_weights()
        self._check_size()
        return self

    def _check_weights(self) -> None:
        expected = self._network.state_dict()
        layers = {name: like.shape for name, like in expected.items() if like.is_floating_point()}
        if {name: value.shape for name, value in self.weights.items()} != layers:
            self._refuse(f"its weights are not those of {self.shape}")
        for name, value in self.weights.items():
            if value.dtype != torch.float32:
                self._refuse(f"{name} is {value.dtype}; give float32")
            if not bool(value.isfinite().all()):
                self._refuse(f"{name} holds NaN or infinity")

    def _check_size(self) -> None:
        values = math.prod((self.shape.num_classes, self.shape.channels, self.shape.size_px**2))
        if 4 * values * self.per_class > MAX_EPOCH_BYTES:
            most = MAX_EPOCH_BYTES // (4 * values)
            self._refuse(
                f"an epoch of {self.per_class} images per class is too large; give {most} at most"
            )

    def _refuse(self, problem: str) -> NoReturn:
        raise ContractError(f"{self!r} cannot be used: {problem}.")
