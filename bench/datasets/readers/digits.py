"""The 1,797 handwritten 8×8 digits that scikit-learn ships."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.datasets.dataset import Part
from bench.datasets.split import kept_and_held_out
from bench.specs import DatasetSpec

TEST_ONE_IN = 4


@dataclass(frozen=True)
class Digits:
    """Values 0 … 16 become ``round(255 · value / 16)``; the test part follows the split rule."""

    layout: str = "nothing: scikit-learn ships them"

    def files(self, root: Path) -> tuple[Path, ...]:
        """scikit-learn's package file stands for the data inside the package."""
        package = find_spec("sklearn")
        return (Path(package.origin),) if package and package.origin else ()

    def read(self, root: Path, spec: DatasetSpec) -> tuple[Part, Part]:
        """Read from the installed scikit-learn; ``root`` is not used."""
        import numpy as np
        from sklearn.datasets import load_digits

        bunch = load_digits()
        pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
        whole = Part(pixels, bunch.target.astype(np.int64))
        train, test = kept_and_held_out(
            whole.labels.tolist(), key=f"{spec.name}/test", one_in=TEST_ONE_IN
        )
        return whole.rows(train), whole.rows(test)
