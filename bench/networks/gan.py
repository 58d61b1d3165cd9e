"""DiM's generator and discriminator: an auxiliary-classifier GAN for small images.

Wang et al., arXiv:2303.04707, section 7 and figure 4; follows vimar-gu/DiM@3657339, gan_model.py.
At 32 px and width 196 the generator has 3.56 M parameters.

Differs: other image sizes than 28 and 32 px. Both networks work on maps of 4 px, twice that, and
so on up to the image; a size more or less is a block of the middle kind more or less.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import init

from bench.errors import InvalidValue, NotApplicable
from bench.networks.initialisation import initialise
from bench.networks.layers import norm_layer

BASE_PX = 4
"""The smallest map: what the generator starts from and the discriminator ends at."""

LARGEST = 65_536
"""No width, latent dimension, class count or image size of a GAN is larger."""


@dataclass(frozen=True, kw_only=True)
class GanShape:
    """What decides the layers of a generator and its discriminator.

    Attributes:
        width: channels of every map.
        latent: numbers a generator starts from, the one-hot label among them.
        num_classes: K.
        channels: of the images.
        size_px: of the images.

    Raises:
        InvalidValue: a number is not positive, or the latent leaves no room for noise.
        NotApplicable: 4 px cannot be doubled to ``size_px``.
    """

    width: int
    latent: int
    num_classes: int
    channels: int
    size_px: int

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if type(value) is not int or not 1 <= value <= LARGEST:
                raise InvalidValue(f"{name} of a GAN is {value!r}; give 1 to {LARGEST}.")
        if self.latent <= self.num_classes:
            raise InvalidValue(
                f"A latent of {self.latent} numbers has no room for noise beside the label of "
                f"{self.num_classes} classes; give more than {self.num_classes}."
            )
        if len(self.sizes_px) < 2 or self.sizes_px[0] != BASE_PX:
            raise NotApplicable(
                f"the generator doubles maps of {BASE_PX} px up to 7-8, 13-16, 25-32 or 49-64 px; "
                f"images of {self.size_px} px are none of these"
            )

    @property
    def sizes_px(self) -> tuple[int, ...]:
        """Sizes of the maps, ascending to the image's; each is twice the last, or one pixel less.

        28 px: 4, 7, 14, 28.
        """
        sizes = [self.size_px]
        while sizes[0] > BASE_PX:
            sizes.insert(0, (sizes[0] + 1) // 2)
        return tuple(sizes)

    def draw_latent(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """``(N, latent)``: the one-hot label, then standard normal noise, on the labels' device."""
        noise = torch.randn(len(labels), self.latent - self.num_classes, generator=rng)
        onehot = F.one_hot(labels, self.num_classes)
        return torch.cat([onehot.to(noise.dtype), noise.to(labels.device, non_blocking=True)], 1)


class Upsampling(nn.ConvTranspose2d):
    """A transposed convolution to a map of ``size_px``, twice the size or one pixel less."""

    def __init__(self, width: int, size_px: int) -> None:
        super().__init__(width, width, 4 - size_px % 2, stride=2, padding=1)

    def initialise(self, rng: torch.Generator) -> None:
        """PyTorch's default, as for the other layers."""
        bound = 1 / math.sqrt(self.weight[0].numel())
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound, generator=rng)


class ImageGenerator(nn.Module):
    """Latents ``(N, latent)`` to images ``(N, C, H, W)`` in [-1, 1].

    Every map passes batch norm and ReLU. Three convolutions follow the first upsampling, one every
    middle one, none the last.
    """

    def __init__(self, shape: GanShape) -> None:
        super().__init__()
        width, sizes = shape.width, shape.sizes_px[1:]
        start = width * BASE_PX**2
        layers: list[nn.Module] = [
            nn.Linear(shape.latent, start),
            nn.BatchNorm1d(start),
            nn.ReLU(),
            nn.Unflatten(1, (width, BASE_PX, BASE_PX)),
        ]
        convolutions = [3, *[1] * (len(sizes) - 2), 0]
        for size_px, count in zip(sizes, convolutions, strict=False):  # one size: three
            layers += [Upsampling(width, size_px), nn.BatchNorm2d(width), nn.ReLU()]
            for _ in range(count):
                convolution = nn.Conv2d(width, width, 3, padding=1)
                layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
        self.layers = nn.Sequential(
            *layers, nn.Conv2d(width, shape.channels, 3, padding=1), nn.Tanh()
        )

    def forward(self, latent: Tensor) -> Tensor:
        """Draw an image for each row of ``latent``."""
        images: Tensor = self.layers(latent)
        return images


class Discriminator(nn.Module):
    """Images in [-1, 1] to a critic's score ``(N,)`` and class logits ``(N, K)``.

    Every convolution is followed by layer norm over C×H×W and leaky ReLU; each map has a
    convolution, then one that halves it, but the smallest three before it is halved.
    """

    def __init__(self, shape: GanShape) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, width = shape.channels, shape.width
        for size_px in reversed(shape.sizes_px[1:]):
            count = 3 if size_px == shape.sizes_px[1] else 1
            maps = [(1, size_px)] * count + [(2, (size_px + 1) // 2)]
            for stride, made_px in maps:
                layers += [
                    nn.Conv2d(channels, width, 3, stride, padding=1),
                    norm_layer("ln", width, made_px),
                    nn.LeakyReLU(),
                ]
                channels = width
        self.features = nn.Sequential(*layers, nn.MaxPool2d(BASE_PX), nn.Flatten())
        self.critic = nn.Linear(width, 1)
        self.classifier = nn.Linear(width, shape.num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Score and classify ``(N, C, H, W)``."""
        features = self.features(images)
        return self.critic(features)[:, 0], self.classifier(features)


def build_gan(
    shape: GanShape, rng: torch.Generator, device: torch.device | str = "cpu"
) -> tuple[ImageGenerator, Discriminator]:
    """A fresh generator and discriminator in training mode, initialised as PyTorch does.

    Args:
        shape: their layers.
        rng: a CPU generator; torch's global one is left alone.
        device: where they go.
    """
    with torch.random.fork_rng(devices=[]):  # constructors draw weights that are replaced
        pair = ImageGenerator(shape), Discriminator(shape)
    for network in pair:
        initialise(network, rng)
        network.to(device)
    return pair
