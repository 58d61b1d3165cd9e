"""How far TESLA's two-pass gradient is from the gradient of the matching loss.

Prints the table of ``docs/two-pass-gradient.md``: a student starts at an expert's parameters after
one epoch on digits, takes T steps on ten real images per class, and is compared with the expert two
epochs later. Cosine and relative error are those of ∂L/∂images, in float64.

Run: ``python docs/two_pass_gradient.py``
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from bench import augment, datasets, networks
from bench.data import RealSet
from bench.experts import Experts
from bench.randomness import generator
from bench.recipes import Recipe
from bench.training import cross_entropy
from bench.unrolling import Batch, Gradients, Unrolling, gradients, partition

NETWORK = "convnet-d2-w16"
STEPS = (1, 5, 10, 20, 50)
RATES = (0.01, 0.05)
BATCH = 50  # of the 100 synthetic images, one student step


def expert(real: RealSet, folder: Path) -> Tensor:
    """An expert's parameters after 0, 1, 2 and 3 epochs on the real images, ``(4, P)``."""
    recipe = Recipe(epochs=3, lr=0.01, batch=64, augmentation="none")
    return Experts(folder=folder, real=real).trajectory(NETWORK, recipe, 0).double()


def unrolling(real: RealSet, trajectory: Tensor, steps: int, rate: float) -> Unrolling:
    """T steps from epoch 1 towards epoch 3; the first steps are the same for every T."""
    rng = generator("two-pass", "images")
    images = torch.cat([real.draw_class(label, 10, rng) for label in range(10)]).double()
    unchanged = augment.build_differentiable("none", real.spec)
    return Unrolling(
        network=networks.build(NETWORK, real.spec, generator("any"), dtype=torch.float64),
        loss=cross_entropy,
        start=trajectory[1],
        target=trajectory[3],
        images=images,
        labels=torch.arange(10).repeat_interleave(10),
        learning_rate=torch.tensor(rate, dtype=torch.float64),
        batches=[
            Batch(index, unchanged.draw((len(index), *real.spec.shape), rng).apply)
            for index in partition(len(images), BATCH, steps, generator("two-pass", "batches"))
        ],
    )


def difference(approximate: Gradients, exact: Gradients) -> tuple[float, float]:
    """Cosine of the two image gradients, and ‖approximate - exact‖ / ‖exact‖."""
    ours, true = approximate.images.flatten(), exact.images.flatten()
    cosine = torch.dot(ours, true) / (ours.norm() * true.norm())
    return float(cosine), float((ours - true).norm() / true.norm())


def table(steps: Sequence[int] = STEPS) -> list[str]:
    """The Markdown table, a line an entry."""
    real = datasets.load("digits").train
    lines = [
        "| β | T | two-pass: cosine | relative error | adjoint: relative error |",
        "|---:|---:|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        trajectory = expert(real, Path(folder))
    for rate in RATES:
        for count in steps:
            run = unrolling(real, trajectory, count, rate)
            exact = gradients(run, "unrolled")
            cosine, error = difference(gradients(run, "two-pass"), exact)
            _, adjoint = difference(gradients(run, "adjoint"), exact)
            bound = "below 1e-12" if adjoint < 1e-12 else f"{adjoint:.0e}"
            lines.append(f"| {rate} | {count} | {cosine:.3f} | {error:.3f} | {bound} |")
    return lines


if __name__ == "__main__":
    print("\n".join(table()))
