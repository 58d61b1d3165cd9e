"""Downloads of the public datasets, into the layouts that the readers expect.

torchvision does the work: it knows the addresses and compares each archive's MD5.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from http.client import HTTPException
from pathlib import Path
from typing import Literal

from bench.errors import MissingData

PATIENCE_SECONDS = 30
"""How long a server may stay silent."""

TINY_IMAGENET_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
TINY_IMAGENET_MD5 = "90528d7ca1a48142e341f4ef8d21d0de"


@contextmanager
def _downloading(name: str, root: Path) -> Iterator[None]:
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE_SECONDS)
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (OSError, RuntimeError, EOFError, HTTPException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MissingData(
            f"{name} could not be downloaded into {root} ({reason.rstrip('.')}). Try again with a "
            f"network, or copy the files from another machine."
        ) from error
    finally:
        socket.setdefaulttimeout(patience)


def fetch_mnist(kind: Literal["MNIST", "FashionMNIST"], root: Path) -> None:
    """Download MNIST or FashionMNIST and unpack it.

    Raises:
        MissingData: the network or the server does not allow it.
    """
    with _downloading(kind, root):
        from torchvision import datasets

        getattr(datasets, kind)(str(root), download=True)


def fetch_svhn(root: Path) -> None:
    """Download both parts of SVHN.

    Raises:
        MissingData: the network or the server does not allow it.
    """
    with _downloading("SVHN", root):
        from torchvision.datasets import SVHN

        for split in ("train", "test"):
            SVHN(str(root), split=split, download=True)


def fetch_cifar(kind: Literal["CIFAR10", "CIFAR100"], root: Path) -> None:
    """Download CIFAR and unpack it; nothing is unpickled.

    Raises:
        MissingData: the network or the server does not allow it.
    """
    with _downloading(kind, root):
        from torchvision import datasets
        from torchvision.datasets.utils import download_and_extract_archive

        published = getattr(datasets, kind)
        download_and_extract_archive(
            published.url, str(root), filename=published.filename, md5=published.tgz_md5
        )


def fetch_tiny_imagenet(root: Path) -> None:
    """Download Tiny ImageNet's archive, which is read without being unpacked.

    Raises:
        MissingData: the network or the server does not allow it.
    """
    with _downloading("Tiny ImageNet", root):
        from torchvision.datasets.utils import download_url

        download_url(TINY_IMAGENET_URL, str(root), md5=TINY_IMAGENET_MD5)
