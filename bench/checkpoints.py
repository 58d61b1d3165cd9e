"""Checkpoints of any method's state, without pickling and without help from the method.

A state is a dataclass. Of its fields, tensors, generators, everything with a ``state_dict``
(networks, optimisers) and plain numbers and texts are captured; other fields are rebuilt by
``prepare``. Capture and restore work in place, so that optimisers keep pointing at their tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from bench.errors import BadFile
from bench.files import load_tensors, save_tensors

_Tree = Any  # nested dicts and lists with tensors, numbers, texts and None at the leaves


def capture(state: Any) -> dict[str, _Tree]:
    """Copy everything that changes in ``state``."""
    taken = {name: _take(getattr(state, name)) for name in _names(state)}
    return {name: value for name, value in taken.items() if value is not _SKIP}


def restore(state: Any, saved: Mapping[str, _Tree]) -> None:
    """Put captured values back into a freshly prepared state, in place.

    Raises:
        BadFile: the checkpoint belongs to a state of another shape.
    """
    if saved.keys() != capture(state).keys():
        raise BadFile("The checkpoint belongs to another state; remove it to start afresh.")
    for name, value in saved.items():
        current = getattr(state, name)
        if isinstance(current, Tensor):
            with torch.no_grad():
                current.copy_(value)
        elif isinstance(current, Generator):
            current.set_state(value)
        elif hasattr(current, "load_state_dict"):
            current.load_state_dict(value)
        else:
            setattr(state, name, value)


_SKIP = object()


def _names(state: Any) -> list[str]:
    declared = [field.name for field in fields(state)]
    return declared + [name for name in vars(state) if name not in declared]


def _take(value: Any) -> _Tree:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Generator):
        return value.get_state()
    if hasattr(value, "state_dict"):
        return _copy(value.state_dict())
    if isinstance(value, list) and all(isinstance(item, Tensor) for item in value):
        return [item.detach().clone() for item in value]
    return value if isinstance(value, bool | int | float | str) else _SKIP


def _copy(tree: _Tree) -> _Tree:
    if isinstance(tree, Tensor):
        return tree.detach().clone()
    if isinstance(tree, Mapping):
        return {key: _copy(value) for key, value in tree.items()}
    return [_copy(item) for item in tree] if isinstance(tree, list | tuple) else tree


def save(path: Path, tree: _Tree) -> None:
    """Write a captured tree as one checksummed file, atomically."""
    tensors: dict[str, Tensor] = {}
    save_tensors(path, tensors, {"tree": _flatten(tree, tensors)})


def load(path: Path) -> _Tree:
    """Read what :func:`save` wrote.

    Raises:
        BadFile: damaged or of another kind.
    """
    tensors, header = load_tensors(path)
    try:
        return _unflatten(header["tree"], tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise BadFile(f"{path} is no checkpoint.") from error


def _flatten(tree: _Tree, tensors: dict[str, Tensor]) -> Any:
    """JSON for ``tree``; its tensors move to ``tensors`` under running numbers."""
    if isinstance(tree, Tensor):
        name = str(len(tensors))
        tensors[name] = tree
        return {"tensor": name}
    if isinstance(tree, Mapping):  # as pairs: JSON has no integer keys, optimisers do
        return {"items": [[key, _flatten(value, tensors)] for key, value in tree.items()]}
    return [_flatten(item, tensors) for item in tree] if isinstance(tree, list) else tree


def _unflatten(data: Any, tensors: Mapping[str, Tensor]) -> _Tree:
    if isinstance(data, list):
        return [_unflatten(item, tensors) for item in data]
    if not isinstance(data, dict):
        return data
    if "tensor" in data:
        return tensors[data["tensor"]].clone()  # own memory: the file may be replaced
    return {key: _unflatten(value, tensors) for key, value in data["items"]}
