"""A small vision transformer.

DC-BENCH, arXiv:2207.09639; follows justincui03/dc_benchmark@2a57711, networks/vit.py and
network_utils.py: patches of 4 px, 6 blocks of 8 heads. ``vit-depth3-heads4`` is the one of APM.

Differs: dropout draws from a seed of the network's own. Images below 16 px, which the papers do
not have, are cut into patches of 2 px, so that 8 px still make 16 patches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import init

from bench.errors import NotApplicable
from bench.networks.dropout import Dropout
from bench.networks.network import Network, TooSmall
from bench.specs import DatasetSpec

HEAD_DIM = 64
DROPOUT = 0.1


class Tokens(nn.Module):
    """Patches as tokens behind a class token, with learned positions.

    Args:
        channels: of the images.
        patch_px: height and width of a patch.
        count: patches in an image.
        width: numbers in a token, D.
    """

    def __init__(self, channels: int, patch_px: int, count: int, width: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, patch_px, stride=patch_px)
        self.positions = nn.Parameter(torch.empty(1, 1 + count, width))
        self.class_token = nn.Parameter(torch.empty(1, 1, width))

    def initialise(self, rng: torch.Generator) -> None:
        """Draw positions and class token from N(0, 1)."""
        init.normal_(self.positions, generator=rng)
        init.normal_(self.class_token, generator=rng)

    def forward(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, 1 + count, D)``."""
        patches = self.patches(images).flatten(2).transpose(1, 2)
        first = self.class_token.expand(len(images), -1, -1)
        return torch.cat([first, patches], 1) + self.positions


class Attention(nn.Module):
    """Multi-head self-attention; queries, keys and values without bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(width, 3 * heads * HEAD_DIM, bias=False)
        self.to_tokens = nn.Linear(heads * HEAD_DIM, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """``(N, L, D)`` to the same shape."""
        qkv = self.to_qkv(tokens).unflatten(2, (3, self.heads, HEAD_DIM))
        queries, keys, values = qkv.permute(2, 0, 3, 1, 4)  # each (N, heads, L, HEAD_DIM)
        # written out: the fused attention kernels have no second derivative
        weights = (queries @ keys.transpose(2, 3) / HEAD_DIM**0.5).softmax(3)
        mixed: Tensor = self.to_tokens((weights @ values).transpose(1, 2).flatten(2))
        return mixed


class Residual(nn.Module):
    """x + layers(x)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return torch.add(x, self.layers(x))


class FirstToken(nn.Module):
    """The class token alone."""

    def forward(self, tokens: Tensor) -> Tensor:
        """``(N, L, D)`` to ``(N, D)``."""
        return tokens[:, 0]


def vit(spec: DatasetSpec, *, depth: int = 6, heads: int = 8, width: int = 512) -> Network:
    """Pre-norm transformer blocks over patches; the class token, normalised, is classified.

    Tokens and the hidden layers between them have ``width`` numbers.

    Raises:
        NotApplicable: patches do not tile the images.
    """
    patch_px = 4 if spec.size_px >= 16 else 2
    if spec.size_px < patch_px:
        raise TooSmall("ViT", patch_px, spec)
    if spec.size_px % patch_px:
        raise NotApplicable(
            f"ViT cuts images of {spec.size_px} px into patches of {patch_px} px, which do not "
            f"tile {spec.name}; resize the images to a multiple of 4 px."
        )
    blocks: list[nn.Module] = []
    for _ in range(depth):
        blocks += [
            Residual(nn.LayerNorm(width), Attention(width, heads), Dropout(DROPOUT)),
            Residual(
                nn.LayerNorm(width),
                nn.Linear(width, width),
                nn.GELU(),
                Dropout(DROPOUT),
                nn.Linear(width, width),
                Dropout(DROPOUT),
            ),
        ]
    features = nn.Sequential(
        Tokens(spec.channels, patch_px, (spec.size_px // patch_px) ** 2, width),
        Dropout(DROPOUT),
        *blocks,
        FirstToken(),
        nn.LayerNorm(width),
    )
    return Network(features, width, spec.num_classes)
