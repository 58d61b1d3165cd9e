"""No step of a method waits for the device: the host runs ahead and keeps it busy.

The steps run on torch's ``meta`` device, which has no numbers: whoever asks it for one (``item``,
``tolist``, ``nonzero``, a copy to the host, a branch on a tensor) gets an error. Copies to the
device are watched: only those with ``non_blocking`` are allowed, because any other waits until the
device has done all that it was given before.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from bench import cards, plugins
from bench.evaluation import start_training
from bench.evaluation.vectorised import Together
from bench.profiling.ledger import DEVICE, Ledger
from bench.profiling.phases import open_phase
from bench.profiling.records import Phase
from bench.profiling.rules import load_rules
from bench.profiling.stand_ins import open_task
from bench.profiling.subject import Subject

SHOWN = 100
"""Real images of an epoch."""

STEPS = 2
"""The second meets what the first has left behind."""

SMALL = {
    "batch_real": 32,
    "outer_loops": 2,
    "inner_epochs": 2,
    "matching_steps": 3,
    "batch_syn": 4,
    "student_epochs": 4,
    "checkpoints": 2,
    "gan_epochs": 0,
    "main_probability": 0.5,
    "pool_after": 0,
    "width": 8,
    "soft_labels": True,
}
"""Every inner loop more than once, every branch within reach, and little of all of it."""


class NoWaiting(TorchDispatchMode):
    """Refuses operators that make the host wait for the device."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given, made = tensors((args, kwargs)), tensors(result)
        there = [value for value in given if value.is_meta]
        asks = there and any(not value.is_meta for value in made)
        brings = len(there) < len(given) and (there or any(value.is_meta for value in made))
        if asks or (brings and not runs_ahead(func, args, kwargs)):
            raise AssertionError(f"{func} waits for the device")
        return result


def runs_ahead(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether an operator that is given tensors of the host returns before the device is done."""
    if func is torch.ops.aten._to_copy.default:
        return bool(kwargs.get("non_blocking"))
    if func is torch.ops.aten.copy_.default:
        return bool(kwargs.get("non_blocking", args[2] if len(args) > 2 else False))
    # a number that lies on the host goes along with a kernel's launch; positions do not
    return all(value.is_meta or not value.ndim for value in tensors((args, kwargs)))


def tensors(tree: Any) -> list[Tensor]:
    return [value for value in tree_iter(tree) if isinstance(value, Tensor)]


def run(method: str, phase: Phase, times: int, **changes: Any) -> None:
    """Run some steps of a phase; setting it up may wait."""
    subject = Subject.of(load_rules("efficiency", "quick"), method, changes=changes)
    with Ledger():
        steps = open_phase(phase, subject, DEVICE, SHOWN)
        if phase == "distill" and steps.count == 1:
            pytest.skip("has no steps: its work is handing over")
        for _ in range(times):
            with NoWaiting():
                steps.run()


def small(method: str) -> dict[str, Any]:
    known = cards.card(method).parameters
    found = {key: value for key, value in SMALL.items() if key in known}
    if "matching_epochs" in known and known["matching_epochs"].value == 0:
        found["gan_epochs"] = STEPS  # a plain GAN has no others
    return found


def distilling() -> list[str]:
    return [name for name in plugins.names("methods") if cards.card(name).budgets != ("full",)]


@pytest.mark.parametrize("method", distilling())
def test_a_step_does_not_wait(method: str) -> None:
    run(method, "distill", STEPS, **small(method))


@pytest.mark.parametrize("method", ["mtt", "ftd", "apm"])
def test_an_epoch_of_an_expert_does_not_wait(method: str) -> None:
    run(method, "prepare", 1)


@pytest.mark.parametrize("method", ["mtt", "ftd", "apm"])
def test_an_epoch_of_several_experts_together_does_not_wait(method: str) -> None:
    subject = Subject.of(load_rules("efficiency", "quick"), method)
    real = open_task(subject, DEVICE, SHOWN).real
    expert, *_ = cards.build(method, subject.parameters).wanted_experts(subject.network, 0)
    experts = [
        start_training(real, expert.network, expert.recipe, real, ("expert", index))
        for index in range(2)
    ]
    for one in experts:
        one.sharpness = expert.sharpness
    program = Together(experts)
    with NoWaiting():
        program.run_epoch()


def test_waiting_is_noticed() -> None:
    here, there, place = torch.zeros(3), torch.zeros(3, device=DEVICE), torch.tensor([1, 0])
    with NoWaiting():
        there.copy_(here, non_blocking=True)
        here.to(DEVICE, non_blocking=True)
        _ = there * torch.tensor(2.0)
        for waits in (lambda: there.copy_(here), lambda: here.to(DEVICE), lambda: there[place]):
            with pytest.raises(AssertionError, match="waits for the device"):
                waits()
        for asks in (there.tolist, there[0].item, there.cpu, there.nonzero, lambda: bool(there[0])):
            with pytest.raises((RuntimeError, NotImplementedError), match=r"meta|data-dependent"):
                asks()
