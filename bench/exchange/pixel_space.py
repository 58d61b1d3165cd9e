"""In which pixel space a stranger's images are.

A wrong guess costs 10 to 25 points of accuracy, so nothing is guessed. The pixels raise objections
to spaces (:mod:`bench.exchange.pixel_statistics` says from what): a stated space that meets one is
refused, and where nothing is stated exactly one space must be left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from bench.errors import BadFile
from bench.exchange.pixel_statistics import (
    CENTRED_BALANCE,
    MAX_UNIT_STD,
    MIN_BYTES_STD,
    PIXEL_BALANCE,
    PixelStatistics,
    grey_level_share,
    measure,
    sample,
)
from bench.preprocessing import Preprocessing
from bench.specs import DatasetSpec

Space = Literal["model-input", "normalised", "cifar10-normalised", "unit", "bytes"]

SPACES: dict[str, str] = {
    "model-input": "what the evaluation's student sees",
    "normalised": "normalised with the dataset's own mean and std",
    "cifar10-normalised": "normalised with CIFAR-10's mean and std, as many do for CIFAR-100",
    "unit": "pixels in [0, 1]",
    "bytes": "pixels in 0..255",
}
"""Every space that can be stated, and what it means."""

WHITENED = "ZCA-whitened"
"""A candidate where the evaluation normalises: it can be recognised but not converted."""

GREY_LEVEL_SHARE = 0.99
"""From this share of grey levels on, images are unaltered pixels under the map tried."""


class Affine(NamedTuple):
    """A map to pixels in [0, 1], channel by channel: ``images * std + mean``."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to_unit(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` images as float64 around [0, 1], never clipped."""
        mean, std = (torch.tensor(part, dtype=torch.float64).view(-1, 1, 1) for part in self)
        return images.double() * std + mean

    @property
    def centres(self) -> bool:
        """Whether images in this space are centred on the dataset's mean."""
        return any(self.mean)


Maps = Mapping[str, Affine | None]
"""Each space's map to [0, 1]; ``None`` where that takes a ZCA matrix."""


def stated_map(header: Mapping[str, Any]) -> Affine | None:
    """The map to [0, 1] that a preprocessing header states; ``None`` for ZCA.

    Raises:
        BadFile: it is no header that :class:`bench.preprocessing.Preprocessing` prints.
    """
    try:
        if header["kind"] == "zca":
            return None
        if header["kind"] == "normalize":
            return Affine(tuple(map(float, header["mean"])), tuple(map(float, header["std"])))
    except (KeyError, TypeError, ValueError) as error:
        raise BadFile(f"A preprocessing {dict(header)} lacks its numbers.") from error
    raise BadFile(f"A preprocessing {dict(header)} is unknown; known kinds: normalize, zca.")


def maps_for(spec: DatasetSpec, preprocessing: Preprocessing) -> Maps:
    """The spaces that images of this dataset can be stated to be in, with their maps."""
    channels = spec.channels
    maps: dict[str, Affine | None] = {
        "model-input": stated_map(preprocessing.header()),
        "normalised": stated_map(Preprocessing.normalize(spec).header()),
        "unit": Affine((0.0,) * channels, (1.0,) * channels),
        "bytes": Affine((0.0,) * channels, (1 / 255,) * channels),
    }
    if channels == 3:
        maps["cifar10-normalised"] = Affine((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
    return maps


def objection(map_: Affine | None, statistics: PixelStatistics) -> str | None:
    """What balance and contrast say against a space, or ``None``."""
    std = statistics.std
    if map_ is None or map_.centres:
        if statistics.balance < CENTRED_BALANCE:
            return "hardly any value is negative, while preprocessed images are centred on 0"
        return None
    if statistics.balance > PIXEL_BALANCE:
        return f"negative values make up {statistics.balance:.0%} of all magnitude"
    if std * map_.std[0] > MAX_UNIT_STD:
        return f"a standard deviation of {std:.3g} is far too large"
    if map_.std[0] < 1 and std < MIN_BYTES_STD:
        return f"a standard deviation of {std:.3g} is far too small"
    return None


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What the pixels and surroundings of a file say about its space.

    Attributes:
        images: finite, ``(N, C, H, W)``.
        whitened: what the file's surroundings say of ZCA; ``None`` if they are silent.
        maps: the spaces to choose from.
        spec: the dataset.
        source: names the file in messages.
    """

    images: Tensor
    whitened: bool | None
    maps: Maps
    spec: DatasetSpec
    source: str

    def confirm(self, stated: str) -> str:
        """The sentence that nothing speaks against the stated space.

        Raises:
            BadFile: something does.
        """
        if stated not in self.maps:
            raise BadFile(f"{self.source} is grey; {stated!r} is for three channels.")
        if self.objections[stated]:
            fitting = [name for name in self.maps if not self.objections[name]]
            raise BadFile(
                f"{self.source} is stated to be in {stated!r} space ({SPACES[stated]}), but "
                f"{self.objections[stated]}. Its pixels fit: {', '.join(fitting) or 'none'}."
            )
        return f"Pixel space {stated!r} ({SPACES[stated]}): as stated, and the pixels agree."

    def settle(self) -> tuple[str, str]:
        """The only space that fits, and the sentence that says so.

        Raises:
            BadFile: none fits, or more than one; the message says what can be stated.
        """
        fitting = [name for name in self._candidates if not self.objections[name]]
        if len(fitting) != 1 or fitting == [WHITENED]:
            raise BadFile(self._unsettled(fitting))
        return fitting[0], (
            f"Pixel space {fitting[0]!r} ({SPACES[fitting[0]]}): the only one that fits pixels "
            f"with mean {self.statistics.mean:.3g} and standard deviation "
            f"{self.statistics.std:.3g}."
        )

    @cached_property
    def statistics(self) -> PixelStatistics:
        """Of all images."""
        return measure(self.images)

    @cached_property
    def objections(self) -> dict[str, str | None]:
        """What speaks against each space, ``WHITENED`` included, or ``None``."""
        maps = {**self.maps, WHITENED: None}
        found = {
            name: objection(map_, self.statistics) or self._whitening_objection(map_)
            for name, map_ in maps.items()
        }
        exact = {map_ for name, map_ in maps.items() if not found[name] and self._is_exact(map_)}
        for name, map_ in maps.items():
            if exact and not found[name] and map_ not in exact:
                found[name] = "pixels are whole grey levels only under another mean and std"
        return found

    @property
    def _candidates(self) -> list[str]:
        """The spaces that ``auto`` weighs, each map once."""
        maps = self.maps
        names = ["model-input", "normalised", "unit", "bytes"]
        if self.spec.name.startswith("cifar100"):
            names.append("cifar10-normalised")
        distinct = [n for i, n in enumerate(names) if maps[n] not in [maps[m] for m in names[:i]]]
        zca_possible = self.statistics.may_be_whitened or self.whitened
        return distinct + ([WHITENED] if maps["model-input"] and zca_possible else [])

    def _is_exact(self, map_: Affine | None) -> bool:
        if map_ is None or not map_.centres:
            return False
        return grey_level_share(map_.to_unit(sample(self.images))) >= GREY_LEVEL_SHARE

    def _whitening_objection(self, map_: Affine | None) -> str | None:
        if map_ is None:
            if self.whitened is False:
                return "files of this kind are never ZCA-whitened"
            if self.statistics.looks_smooth:
                return "neighbouring pixels are too much alike for ZCA-whitened images"
        elif map_.centres:
            if self.whitened:
                return "the folder or its files say that the images are ZCA-whitened"
            if self.statistics.looks_whitened:
                return "contrast and likeness of neighbours are those of ZCA-whitened images"
        return None

    def _unsettled(self, fitting: list[str]) -> str:
        if not fitting:
            reasons = "; ".join(f"{name}: {self.objections[name]}" for name in self._candidates)
            return f"{self.source} has pixels that fit no known space ({reasons})."
        if fitting == [WHITENED]:
            return (
                f"{self.source} is ZCA-whitened by all signs, but the evaluation normalises. "
                f"Evaluate with ZCA preprocessing, or give the images mapped back to [0, 1]."
            )
        stateable = [name for name in fitting if name != WHITENED]
        message = (
            f"{self.source} does not say its pixel space, and its pixels fit more than one; state "
            f"it with --space {' or '.join(stateable)}."
        )
        affine = [name for name in stateable if self.maps[name]]
        if len(affine) > 1:
            message += f" Of {' and '.join(affine)}, {min(affine, key=self._distance)} is likelier."
        if WHITENED in fitting:
            message += " ZCA-whitened images, which need ZCA preprocessing, cannot be excluded."
        return message

    def _distance(self, name: str) -> float:
        """How far channel means and contrasts, read in a space, are from the dataset's."""
        map_ = self.maps[name]
        assert map_ is not None
        unit = map_.to_unit(sample(self.images)).transpose(0, 1).flatten(1)
        mean, std = (torch.tensor(v, dtype=torch.float64) for v in (self.spec.mean, self.spec.std))
        shift = ((unit.mean(1) - mean) / std).abs()
        contrast = (unit.std(1, correction=0).clamp(min=1e-6) / std).log().abs()
        return (shift + contrast).mean().item()
