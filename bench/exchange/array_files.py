"""Sets as named arrays: ``.safetensors``, ``.npz`` and ``.npy``, never pickled."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from bench import artifacts
from bench.errors import BadFile
from bench.exchange import own
from bench.exchange.bounds import check_bytes, check_file, check_zip
from bench.exchange.found import RATE_NAMES, Found, from_named
from bench.specs import DatasetSpec


def read_safetensors(path: Path, spec: DatasetSpec) -> Found:
    """A set of our own, or tensors named ``images`` and ``labels``.

    Raises:
        BadFile: damaged, too large, or without images.
    """
    from safetensors import SafetensorError, safe_open

    check_file(path, spec)
    wanted = ("images", "labels", *RATE_NAMES)
    try:
        with safe_open(path, framework="pt") as handle:
            ours = "bench" in (handle.metadata() or {})
            names = list(handle.keys())
            tensors = {} if ours else {n: handle.get_tensor(n) for n in names if n in wanted}
    except (SafetensorError, OSError, ValueError, AttributeError) as error:
        raise BadFile(f"{path} is damaged: {error}.") from error
    if ours:
        return own.found(artifacts.load_set(path), path)
    return from_named(tensors or dict.fromkeys(names), path, "safetensors without our header")


def read_npz(path: Path, spec: DatasetSpec) -> Found:
    """Arrays named ``images`` and ``labels`` in an ``.npz``.

    Raises:
        BadFile: damaged, too large unpacked, holding Python objects, or without images.
    """
    check_file(path, spec)
    check_zip(path, spec, compressed=True)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            arrays: dict[str, Any] = dict.fromkeys(members)
            for name in members.keys() & {"images", "labels", *RATE_NAMES}:
                with archive.open(members[name]) as stream:
                    arrays[name] = _array(stream, path, spec)
    except BadFile:
        raise
    except Exception as error:  # a hostile archive may break its decompressor in any way
        raise BadFile(f"{path} is a damaged archive: {error}.") from error
    return from_named(arrays, path, "numpy arrays")


def read_npy(path: Path, spec: DatasetSpec) -> Found:
    """One array of images, rows sorted by class.

    Raises:
        BadFile: damaged, too large, or holding Python objects.
    """
    check_file(path, spec)
    with path.open("rb") as stream:
        images = _array(stream, path, spec)
    return from_named({"images": images}, path, "one numpy array of images")


def _array(stream: IO[bytes], path: Path, spec: DatasetSpec) -> Tensor:
    """One array, its claimed size checked before memory is asked for."""
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read_header(stream)
        if dtype.kind not in "iuf" or min(shape, default=0) < 0:
            raise BadFile(f"{path} holds an array of {dtype}; give numbers.")
        count = int(np.prod([int(size) for size in shape], dtype=object))
        check_bytes(path, count * dtype.itemsize, spec)
        values = np.frombuffer(stream.read(count * dtype.itemsize), dtype, count)
    except BadFile:
        raise
    except Exception as error:  # a hostile header may break numpy's parser in any way
        raise BadFile(f"{path} is no readable numpy file ({type(error).__name__}).") from error
    array = values.reshape(shape, order="F" if fortran else "C")
    return torch.from_numpy(array.astype(_target_type(dtype), order="C"))


def _target_type(dtype: np.dtype[Any]) -> type[np.generic]:
    """A type of this machine's byte order that torch knows and that loses nothing needed here."""
    if dtype == np.uint8:
        return np.uint8
    if dtype.kind == "f":
        return np.float32 if dtype.itemsize <= 4 else np.float64
    return np.int64
