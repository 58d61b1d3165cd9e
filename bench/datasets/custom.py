"""Datasets of the user's own: ``name=path`` or ``name=path@size``.

What ``path`` may be: :mod:`bench.datasets.layouts`. Without a test part one image in 5 of each
class becomes one, by the published split rule. Images are grey if all of them are. They must share
one square size; with ``@size`` others are cropped to their central square and resized. Mean and
standard deviation are those of the training part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.datasets import layouts
from bench.datasets.arrays import statistics
from bench.datasets.dataset import Part, Reading
from bench.datasets.images import Collection, Survey, decode, survey
from bench.datasets.layouts import Collections
from bench.datasets.parsing import parsing
from bench.datasets.split import kept_and_held_out
from bench.errors import BadFile, InvalidValue, printable
from bench.specs import DatasetSpec

TEST_ONE_IN = 5

FORM = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)=(?P<path>.+?)(?:@(?P<size>[1-9]\d{0,3}))?")


@dataclass(frozen=True)
class Custom:
    """A dataset of the user's own.

    Attributes:
        name: the name that tables show.
        root: the folder or file.
        size_px: height and width to resize to; ``None`` keeps the images' own.
    """

    name: str
    root: Path
    size_px: int | None = None

    @classmethod
    def parse(cls, text: str, taken: Iterable[str]) -> Custom:
        """Read ``name=path`` or ``name=path@size``.

        Raises:
            InvalidValue: another form, or a name among ``taken``.
        """
        match = FORM.fullmatch(text)
        if match is None:
            raise InvalidValue(
                f"{text!r} is no dataset; give name=path or name=path@size, "
                f"for example flowers=~/flowers@32."
            )
        if match["name"] in taken:
            raise InvalidValue(
                f"{match['name']!r} is a registered dataset; choose another name for yours."
            )
        size = int(match["size"]) if match["size"] else None
        with parsing(match["path"]):  # a home of nobody
            root = Path(match["path"]).expanduser().absolute()
        return cls(match["name"], root, size)

    @property
    def spec(self) -> None:
        """Unknown before the images have been read."""
        return None

    def identity(self) -> str:
        """The rule by which the files become tensors."""
        return repr(self)

    def files(self) -> tuple[Path, ...]:
        """Every file that is read."""
        with parsing(self.root):  # no path at all
            return layouts.files(self.root)

    def missing(self) -> str:
        """One sentence: what was looked for."""
        state = "holds neither parquet files nor images" if self.root.exists() else "does not exist"
        return (
            f"{printable(self.root)} {state}, so there is no dataset {self.name!r}. Give a folder "
            f"of class folders, a zip archive of one, or parquet files in the Hugging Face layout."
        )

    def read(self) -> Reading:
        """Derive the specification, decode and check."""
        found = layouts.recognise(self.root)
        seen = survey(found.train)
        if found.test is not None:
            seen |= survey(found.test)
        train, test = self._parts(found, seen)
        mean, std = statistics(train.pixels)
        if not all(std):
            raise BadFile(f"The training images of {self.name!r} under {self.root} are all alike.")
        spec = DatasetSpec(
            name=self.name,
            classes=found.classes,
            channels=seen.channels,
            size_px=train.pixels.shape[-1],
            mean=mean,
            std=std,
        )
        return Reading(spec, train, test).check(self.root)

    def _parts(self, found: Collections, seen: Survey) -> tuple[Part, Part]:
        size_px = self.size_px or self._common_size(seen)

        def decoded(images: Collection) -> Part:
            resize = self.size_px is not None
            return decode(images, channels=seen.channels, size_px=size_px, resize=resize)

        if found.test is not None:
            return decoded(found.train), decoded(found.test)
        everything = decoded(found.train)
        labels = everything.labels.tolist()
        kept, out = kept_and_held_out(labels, key=f"{self.name}/test", one_in=TEST_ONE_IN)
        return everything.rows(kept), everything.rows(out)

    def _common_size(self, seen: Survey) -> int:
        (width, height), *others = sorted(seen.sizes)
        if others or width != height:
            shown = ", ".join(f"{w}×{h}" for w, h in sorted(seen.sizes)[:3])
            raise InvalidValue(
                f"The images of {self.name!r} are not of one square size ({shown}"
                f"{', …' if len(others) > 2 else ''}); say to which size to resize them, "
                f"for example {self.name}={self.root}@32."
            )
        return width
