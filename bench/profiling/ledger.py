"""What a program does to a device that is not there: memory as an allocator hands it out, and work.

The program runs on torch's ``meta`` device, whose tensors have shapes and storages but no data, so
no GPU and hardly any memory is needed. Tensors on the CPU are real: draws, positions, batches'
order. So the same code meets the same branches and the same moves between host and device as on a
GPU.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

BLOCK_BYTES = 512
"""CUDA's caching allocator hands out multiples of this (c10/cuda/CUDACachingAllocator.cpp)."""

DEVICE = torch.device("meta")
"""Where forecasts run."""

_HOST = torch.device("cpu")

_TO_HOST = torch.ops.aten._to_copy.default


class Cost(NamedTuple):
    """What one operator costs, whatever runs it.

    Attributes:
        flops: floating-point operations of matrix products and convolutions; others count none.
        bytes_moved: of its operands and results, each read or written once.
    """

    flops: int
    bytes_moved: int


FREE = Cost(0, 0)
"""A view, or work of the host: nothing runs on the device."""


@dataclass(frozen=True)
class _Known:
    """An operator met before with operands of these shapes.

    Attributes:
        results: for each result the number of the operand that it is, or shape, strides and type
            of a new tensor; ``None`` where the operator must be asked again, as views must.
        single: whether it returns one tensor and no tuple.
        cost: of one call.
    """

    results: tuple[Any, ...] | None
    single: bool
    cost: Cost


class Ledger(TorchDispatchMode):
    """Keeps account of the tensors on :data:`DEVICE` and of the operators that run there.

    Torch infers the shapes of most operators in Python, which takes longer than a kernel. They are
    inferred once for operands of one kind and remembered, for every later ledger too.

    Attributes:
        live_bytes: allocated now, in blocks.
        peak_bytes: the largest ``live_bytes`` since the start or the last :meth:`forget_peak`.
        work: how many operators of each cost have run.

    Args:
        block_bytes: what allocations are rounded up to.
    """

    _known: ClassVar[dict[Any, _Known]] = {}

    def __init__(self, block_bytes: int = BLOCK_BYTES) -> None:
        super().__init__()
        self.live_bytes = 0
        self.peak_bytes = 0
        self.work: Counter[Cost] = Counter()
        self._block = block_bytes
        self._storages: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here, and torch's guard against it would cost as much as we do."""
        return False

    def forget_peak(self) -> None:
        """Look for the peak from here on, as ``torch.cuda.reset_peak_memory_stats`` does."""
        self.peak_bytes = self.live_bytes

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        key = (id(func), _kind(args), _kind(tuple(kwargs.items())) if kwargs else None)
        known = self._known.get(key)
        if known is not None and known.results is not None:
            result = _again(known, args, kwargs)
        else:
            result = _run(func, args, kwargs)
            if known is None:
                known = self._known[key] = _learn(func, args, kwargs, result)
        if known.cost is not FREE:
            self.work[known.cost] += 1
            for value in (result,) if known.single else _tensors(result):
                if value.is_meta:
                    self._count(value.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata  # the C++ storage: Python wrappers of it come and go
        if key in self._storages:
            return
        size = -(-storage.nbytes() // self._block) * self._block

        def forget(_: object) -> None:
            if self._storages.pop(key, None) is not None:
                self.live_bytes -= size

        self._storages[key] = weakref.ref(storage, forget)
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)


def _kind(value: Any) -> Any:
    """What decides an operator's result beside the data: hashable, equal for equal kinds."""
    kind = type(value)
    if kind is Tensor or kind is Parameter:  # isinstance would take longer
        return value.shape, value.stride(), value.dtype, value.is_meta
    if kind is list and value and type(value[0]) is int:  # sizes: whole numbers throughout
        return tuple(value)
    if kind is tuple or kind is list:
        return tuple([_kind(part) for part in value])
    if kind is torch.Generator:  # decides the data alone
        return kind
    return kind, value


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if func is _TO_HOST and kwargs.get("device") == _HOST and getattr(args[0], "is_meta", False):
        # the numbers are not known; zeros stand for them, as for everything that is learned
        return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
    return func(*args, **kwargs)


def _learn(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> _Known:
    operands = _operands(args, kwargs)
    results = () if result is None else result if isinstance(result, tuple | list) else (result,)
    single = isinstance(result, Tensor)
    made = [value for value in results if isinstance(value, Tensor)]
    on_device = any(value.is_meta for value in [*operands, *made])
    if not on_device or func.is_view:
        return _Known(results=None, single=single, cost=FREE)
    cost = _cost(func, args, kwargs, result, [*operands, *made])
    storages = {value.untyped_storage()._cdata for value in operands}
    recipes: list[Any] = []
    for value in results:
        place = next((n for n, operand in enumerate(operands) if operand is value), None)
        if value is None or place is not None:
            recipes.append(place)
        elif value.is_meta and value.untyped_storage()._cdata not in storages:
            recipes.append((value.shape, value.stride(), value.dtype))
        else:  # a view in disguise, or numbers for the host
            return _Known(results=None, single=single, cost=cost)
    return _Known(results=tuple(recipes), single=single, cost=cost)


def _again(known: _Known, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """New tensors like those that the operator returned before."""
    operands: list[Tensor] | None = None
    made: list[Any] = []
    for recipe in known.results or ():
        if isinstance(recipe, int):
            operands = operands or _operands(args, kwargs)
            made.append(operands[recipe])
        elif recipe is None:
            made.append(None)
        else:
            shape, stride, dtype = recipe
            made.append(torch.empty_strided(shape, stride, dtype=dtype, device=DEVICE))
    if known.single or not made:
        return made[0] if made else None
    return tuple(made)


def _cost(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, touched: list[Tensor]
) -> Cost:
    formula = flop_registry.get(func._overloadpacket)
    return Cost(
        flops=int(formula(*args, **kwargs, out_val=result)) if formula else 0,
        bytes_moved=sum(value.nbytes for value in touched if value.is_meta),
    )


def _operands(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors that an operator is given, ``out=`` included."""
    return list(_tensors((args, tuple(kwargs.values()))))


def _tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested tuples and lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
