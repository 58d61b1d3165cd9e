"""What ``fp32``, ``tf32`` and ``bf16`` mean on a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bench.errors import InvalidValue
from bench.recipes import Precision


@contextmanager
def arithmetic(precision: Precision, device: torch.device) -> Iterator[None]:
    """Let matrix products and convolutions round as ``precision`` says, for a while.

    ``bf16`` needs nothing here: it is autocast around each forward pass
    (:func:`bench.training.forward`), with weights, gradients and SGD in float32.

    Raises:
        InvalidValue: TF32 on a device that is not CUDA.
    """
    if precision == "tf32" and device.type != "cuda":
        raise InvalidValue(f"tf32 is CUDA's, the device is {device}; take fp32 or bf16.")
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    _allow_tf32(precision == "tf32", precision == "tf32")
    try:
        yield
    finally:
        _allow_tf32(*before)


def _allow_tf32(products: bool, convolutions: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = products
    torch.backends.cudnn.allow_tf32 = convolutions
