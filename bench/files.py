"""Files that are whole or absent, and tensors that carry their own checksum.

Every tensor file of the suite (synthetic sets, dataset caches, checkpoints, expert buffers) is a
``.safetensors`` file written by :func:`save_tensors`: the digest of names, types, shapes, bytes and
header stands in the file itself, and :func:`load_tensors` refuses a file of which any byte changed.
Nothing is ever unpickled.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BadFile, InUse, StoreError
from bench.workplace import workplace

if TYPE_CHECKING:
    from torch import Tensor

MAX_HEADER_BYTES = 16 * 2**20
"""A safetensors header larger than this is refused before it is read."""


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN; what every hash is taken of."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: Any) -> str:
    """SHA-256 of :func:`canonical_json`, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write ``path`` so that it appears whole or not at all, even through a kill.

    Two writers of one path wait for each other. What a kill leaves behind is cleared away by the
    next writer of the same path.

    Yields:
        An empty file to write to; it takes the place of ``path`` at the end.

    Raises:
        StoreError: the folder cannot be written or the disk is full.
    """
    try:
        with workplace(path) as folder:
            temporary = folder / path.name
            temporary.touch()
            yield temporary
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(path)
    except OSError as error:
        raise StoreError(
            f"Cannot write {path}: {error.strerror or error}. "
            f"Free space or choose a folder that you may write."
        ) from error


@contextmanager
def exclusive(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file; the system lets go of it when the process dies.

    Raises:
        InUse: ``wait`` is false and another process holds it.
        StoreError: it cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(
            f"Cannot write {path}: {error.strerror or error}. Choose a folder that you may write."
        ) from error
    try:
        _lock(handle, path, wait)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, path: Path, wait: bool) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        raise InUse(
            f"{path.parent} is in use by another run. Wait for it, or choose another --store."
        ) from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be locked: {error.strerror or error}. "
            f"Choose a folder on a file system with locks."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(text.encode())


def read_json(path: Path, *, max_bytes: int = 64 * 2**20) -> Any:
    """Read a JSON file of bounded size.

    Raises:
        BadFile: unreadable, too large, not UTF-8 or not JSON.
    """
    try:
        if path.stat().st_size > max_bytes:
            raise BadFile(f"{path} is larger than {max_bytes} bytes; that is no file of ours.")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadFile(f"{path} cannot be read as JSON: {error}.") from error


def tensors_digest(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """SHA-256 over the header and over every tensor's name, type, shape and bytes."""
    total = hashlib.sha256(canonical_json(header).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        total.update(_bytes_of(tensor))
    return total.hexdigest()


def _bytes_of(tensor: Tensor) -> memoryview:
    import torch

    flat: memoryview = tensor.reshape(-1).view(torch.uint8).numpy().data
    return flat


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """Write tensors and a JSON header atomically; return the digest that stands in the file."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    sha256 = tensors_digest(tensors, header)
    metadata = {"bench": canonical_json(header), "sha256": sha256}
    with atomic_write(path) as temporary:
        try:
            save_file(_apart(tensors), temporary, metadata)
        except SafetensorError as error:  # how safetensors reports a full disk
            raise OSError(str(error)) from error
    return sha256


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as safetensors takes them: on the CPU, contiguous, no two in one storage."""
    taken: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        address = value.untyped_storage().data_ptr()
        taken[name] = value.clone() if address in storages else value
        storages.add(address)
    return taken


def read_header(path: Path) -> dict[str, Any]:
    """The JSON header of a file written by :func:`save_tensors`; torch is not imported.

    Raises:
        BadFile: not such a file.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(MAX_HEADER_BYTES, path.stat().st_size - 8):
                raise BadFile(f"{path} is no safetensors file: its header length is impossible.")
            metadata = json.loads(stream.read(length)).get("__metadata__", {})
        header = json.loads(metadata["bench"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise BadFile(
            f"{path} is no safetensors file of this suite ({type(error).__name__})."
        ) from error
    if not isinstance(header, dict):
        raise BadFile(f"{path} has a header that is no JSON object.")
    return header


def load_tensors(path: Path, *, verify: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors (memory-mapped) and header of a file written by :func:`save_tensors`.

    Args:
        path: the file.
        verify: compare every byte with the stored digest; ``False`` only for a file that this
            process has verified before.

    Raises:
        BadFile: missing, of another kind, truncated, or any byte differs from what was written.
    """
    from safetensors import SafetensorError, safe_open

    header = read_header(path)
    try:
        with safe_open(path, framework="pt") as handle:
            sha256 = (handle.metadata() or {}).get("sha256")
            # safetensors has keys() but is no mapping: iterating it is an error
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise BadFile(f"{path} is damaged: {error}.") from error
    if verify and _digest_or_none(tensors, header) != sha256:
        raise BadFile(f"{path} is damaged: its content does not match its checksum.")
    return tensors, header


def _digest_or_none(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str | None:
    try:
        return tensors_digest(tensors, header)
    except ValueError:  # a NaN or half a surrogate in the header: never written by us
        return None
