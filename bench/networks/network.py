"""What every network is: features, and one linear classifier on top."""

from __future__ import annotations

from torch import Tensor, nn

from bench.errors import NotApplicable
from bench.specs import DatasetSpec


class Network(nn.Module):
    """Images ``(N, C, H, W)`` to logits ``(N, K)``.

    Args:
        features: maps images to anything with a leading N; flattened, that is the embedding.
        dim: numbers in the embedding of one image, D.
        num_classes: K.

    Attributes:
        classifier: the last linear layer.
    """

    def __init__(self, features: nn.Module, dim: int, num_classes: int) -> None:
        super().__init__()
        self.features = features
        self.classifier = nn.Linear(dim, num_classes)

    def embed(self, images: Tensor) -> Tensor:
        """Penultimate features ``(N, D)``: what the classifier sees."""
        features: Tensor = self.features(images)
        return features.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, K)``."""
        logits: Tensor = self.classifier(self.embed(images))
        return logits


class TooSmall(NotApplicable):
    """Images too small for a network.

    Args:
        network: its name in the sentence.
        smallest_px: height and width of the smallest images it takes.
        spec: the dataset that was refused.

    Attributes:
        smallest_px: as given.
    """

    def __init__(self, network: str, smallest_px: int, spec: DatasetSpec) -> None:
        self.smallest_px = smallest_px
        super().__init__(
            f"{network} takes images of {smallest_px} px or more, but {spec.name} has "
            f"{spec.size_px} px; resize the images or take a shallower network."
        )
