"""Which GPU a local worker sees."""

from __future__ import annotations


def masks(visible: str | None, count: int) -> tuple[str, ...]:
    """Values of ``CUDA_VISIBLE_DEVICES`` that show one GPU each.

    Args:
        visible: the variable's own value, or ``None`` where it is not set.
        count: how many GPUs can be used.
    """
    if visible is None:
        return tuple(str(index) for index in range(count))
    names = [name.strip() for name in visible.split(",")]
    return tuple(names[:count])
