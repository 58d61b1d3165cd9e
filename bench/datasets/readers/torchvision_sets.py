"""MNIST, FashionMNIST and SVHN as torchvision lays them out and reads them.

Neither format can hold code: MNIST's is plain bytes, SVHN's a MATLAB array whose MD5 torchvision
checks before it parses the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.datasets.dataset import Part
from bench.datasets.parsing import parsing
from bench.datasets.readers import all_or_none
from bench.specs import DatasetSpec


@dataclass(frozen=True)
class Mnist:
    """MNIST or a drop-in replacement of it.

    Attributes:
        folder: torchvision's name of the dataset.
    """

    folder: str

    @property
    def layout(self) -> str:
        """What a data root must hold."""
        return f"{self.folder}/raw"

    def files(self, root: Path) -> tuple[Path, ...]:
        """Images and labels of the training part, then of the test part."""
        stems = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
        return all_or_none(root / self.layout / f"{stem}-ubyte" for stem in stems)

    def read(self, root: Path, spec: DatasetSpec) -> tuple[Part, Part]:
        """Read both parts.

        Raises:
            BadFile: a file is truncated or of another format.
        """
        train_images, train_labels, test_images, test_labels = self.files(root)
        return _idx_part(train_images, train_labels), _idx_part(test_images, test_labels)


def _idx_part(images: Path, labels: Path) -> Part:
    from torchvision.datasets.mnist import read_image_file, read_label_file

    with parsing(images):
        pixels = read_image_file(str(images)).unsqueeze(1).numpy()
    with parsing(labels):
        return Part(pixels, read_label_file(str(labels)).numpy())


@dataclass(frozen=True)
class Svhn:
    """SVHN's cropped digits; torchvision gives the digit 0, stored as 10, the label 0."""

    layout: str = "train_32x32.mat and test_32x32.mat"

    def files(self, root: Path) -> tuple[Path, ...]:
        """Training part, then test part."""
        return all_or_none(root / f"{split}_32x32.mat" for split in ("train", "test"))

    def read(self, root: Path, spec: DatasetSpec) -> tuple[Part, Part]:
        """Read both parts.

        Raises:
            BadFile: a file's MD5 is not the published one.
        """
        from torchvision.datasets import SVHN

        with parsing(root / self.layout):
            train, test = (SVHN(str(root), split=split) for split in ("train", "test"))
        return Part(train.data, train.labels), Part(test.data, test.labels)
