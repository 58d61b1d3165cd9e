"""Run by the Python of an environment with the package ddranking: epochs of its evaluator.

For every line on stdin, five ConvNet-D3 are trained for one epoch on random CIFAR-shaped images
with soft labels by the package's own loop, loss and DSA; the answer is a JSON line.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time

import torch
from ddranking.aug import DSA
from ddranking.loss import SoftCrossEntropyLoss
from ddranking.utils import get_convnet, get_optimizer, train_one_epoch
from torch.utils.data import DataLoader, TensorDataset

AUGMENTATION = {
    "brightness": 1.0,
    "saturation": 2.0,
    "contrast": 0.5,
    "crop": 0.125,
    "cutout": 0.5,
    "flip": 0.5,
    "scale": 1.2,
    "rotate": 15.0,
    "siamese": False,
    "latestseed": -1,
}
"""DSA's usual strengths, under the names the package reads."""


def main(ipc: int, device: str) -> None:
    """Answer until stdin ends."""
    images, labels = torch.randn(10 * ipc, 3, 32, 32), torch.randn(10 * ipc, 10)
    loader = DataLoader(TensorDataset(images, labels), batch_size=256, shuffle=True)
    students = [
        get_convnet(
            model_name="ConvNet-3", im_size=(32, 32), channel=3, num_classes=10,
            net_depth=3, net_norm="instancenorm", pretrained=False, model_path=None,
        ).to(device)
        for _ in range(5)
    ]  # fmt: skip
    optimizers = [get_optimizer("sgd", student, 0.01) for student in students]
    augment, loss = DSA(AUGMENTATION), SoftCrossEntropyLoss()
    for _ in sys.stdin:
        start = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            for student, optimizer in zip(students, optimizers, strict=True):
                train_one_epoch(
                    0, student, loader, loss, optimizer,
                    aug_func=augment, device=device, log_interval=10**9,
                )  # fmt: skip
            if device == "cuda":
                torch.cuda.synchronize()
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
