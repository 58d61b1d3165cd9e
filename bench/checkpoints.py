"""Checkpoints of any method's state, without pickling and without help from the method.

A state is a dataclass. Captured are its tensors, generators, everything with a ``state_dict``
(networks, optimisers), plain numbers and texts, mutable dataclasses of such things, and lists,
tuples and dictionaries of them. Other fields (frozen ones, such as the task) are rebuilt by
``prepare``. Restoring works in place, so that optimisers keep pointing at their tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from bench.errors import BadFile, ContractError
from bench.files import load_tensors, save_tensors, tensors_digest

_Tree = Any  # nested dicts and lists with tensors, numbers, texts and None at the leaves


def capture(state: Any) -> dict[str, _Tree]:
    """Copy everything that changes in ``state``."""
    taken = {name: _take(getattr(state, name)) for name in _names(state)}
    return {name: value for name, value in taken.items() if value is not _SKIP}


def restore(state: Any, saved: Mapping[str, _Tree]) -> None:
    """Put captured values back into a freshly prepared state, in place.

    Raises:
        BadFile: the checkpoint belongs to a state with other fields; nothing was changed.
        ContractError: fields of the state share memory, so that they cannot be restored apart.
    """
    if saved.keys() != capture(state).keys():
        raise BadFile("The checkpoint belongs to another state; remove it to start afresh.")
    _put_fields(state, saved)
    if _digest(capture(state)) != _digest(saved):
        raise ContractError(
            f"A {type(state).__name__} cannot be restored from a checkpoint: two of its fields "
            f"share memory after prepare(). Clone what is meant to be a copy."
        )


_SKIP = object()


def _names(state: Any) -> list[str]:
    declared = [field.name for field in fields(state)]
    return declared + [name for name in vars(state) if name not in declared]


def _is_mutable_dataclass(value: Any) -> bool:
    if isinstance(value, type) or not is_dataclass(value):
        return False
    return not value.__dataclass_params__.frozen  # type: ignore[union-attr]


def _take(value: Any) -> _Tree:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Generator):
        return value.get_state()
    if hasattr(value, "state_dict"):
        return _copy(value.state_dict())
    if _is_mutable_dataclass(value):
        return capture(value)
    if isinstance(value, Mapping):
        items = {key: _take(item) for key, item in value.items()}
        return _SKIP if any(item is _SKIP for item in items.values()) else items
    if isinstance(value, list | tuple):
        members = [_take(item) for item in value]
        return _SKIP if any(member is _SKIP for member in members) else members
    return value if value is None or isinstance(value, bool | int | float | str) else _SKIP


def _copy(tree: _Tree) -> _Tree:
    if isinstance(tree, Tensor):
        return tree.detach().clone()
    if isinstance(tree, Mapping):
        return {key: _copy(value) for key, value in tree.items()}
    return [_copy(item) for item in tree] if isinstance(tree, list | tuple) else tree


def _put_fields(state: Any, saved: Mapping[str, _Tree]) -> None:
    for name, value in saved.items():
        current = getattr(state, name)
        restored = _put(current, value)
        if restored is not current:
            object.__setattr__(state, name, restored)  # the state itself may be frozen


def _put(current: Any, saved: _Tree) -> Any:
    """``saved`` in the form of ``current``, and in its memory where that is possible."""
    if isinstance(current, Generator):
        current.set_state(saved)
    elif hasattr(current, "load_state_dict"):
        current.load_state_dict(saved)
    elif _is_mutable_dataclass(current):
        _put_fields(current, saved)
    elif isinstance(current, Tensor) and isinstance(saved, Tensor) and current.shape == saved.shape:
        with torch.no_grad():
            current.copy_(saved)
    elif isinstance(current, Mapping) and isinstance(saved, Mapping):
        return {key: _put(current.get(key), value) for key, value in saved.items()}
    elif isinstance(current, list | tuple) and isinstance(saved, list):
        before = [*current, *[None] * len(saved)]
        return type(current)(_put(old, new) for old, new in zip(before, saved, strict=False))
    else:
        return saved
    return current


def _digest(tree: _Tree) -> str:
    tensors: dict[str, Tensor] = {}
    return tensors_digest(tensors, {"tree": _flatten(tree, tensors)})


def save(path: Path, tree: _Tree) -> None:
    """Write a captured tree as one checksummed file, atomically."""
    tensors: dict[str, Tensor] = {}
    save_tensors(path, tensors, {"tree": _flatten(tree, tensors)})


def load(path: Path) -> _Tree:
    """Read what :func:`save` wrote, each tensor on the device that it was on.

    Raises:
        BadFile: damaged, of another kind, or made on a device that is not here.
    """
    tensors, header = load_tensors(path)
    try:
        return _unflatten(header["tree"], tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise BadFile(f"{path} is no checkpoint that can be used here.") from error


def _flatten(tree: _Tree, tensors: dict[str, Tensor]) -> Any:
    """JSON for ``tree``; its tensors move to ``tensors`` under running numbers."""
    if isinstance(tree, Tensor):
        name = str(len(tensors))
        tensors[name] = tree
        return {"tensor": name, "device": str(tree.device)}
    if isinstance(tree, Mapping):  # as pairs: JSON has no integer keys, optimisers do
        return {"items": [[key, _flatten(value, tensors)] for key, value in tree.items()]}
    if isinstance(tree, float) and not math.isfinite(tree):  # JSON has no infinity either
        return {"float": str(tree)}
    return [_flatten(item, tensors) for item in tree] if isinstance(tree, list) else tree


def _unflatten(data: Any, tensors: Mapping[str, Tensor]) -> _Tree:
    if isinstance(data, list):
        return [_unflatten(item, tensors) for item in data]
    if not isinstance(data, dict):
        return data
    if "tensor" in data:  # a copy with own memory: the file may be replaced
        return tensors[data["tensor"]].clone().to(data["device"])
    if "float" in data:
        return float(data["float"])
    return {key: _unflatten(value, tensors) for key, value in data["items"]}
