"""Facts about the machine and the software, as every record states them."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import InvalidValue
from bench.freed_memory import keep_freed_memory
from bench.records import Environment

if TYPE_CHECKING:
    import torch


def choose_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` takes CUDA where there is one.

    Raises:
        InvalidValue: no such device here.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidValue(
            f"There is no device {name!r} here; give 'auto', 'cpu' or a CUDA device that exists."
        ) from error
    return device


def use_full_precision() -> None:
    """Make ``fp32`` mean fp32 on CUDA too, where convolutions round to TF32 unless told not to."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def prepare_process() -> None:
    """What a process does before it computes: whole precision, and memory that is kept."""
    use_full_precision()
    keep_freed_memory()


@cache
def commit() -> str:
    """The commit of the checkout that this package runs from; ``""`` when there is none."""
    here = Path(__file__).resolve()
    # an environment inside somebody's repository is no checkout of ours
    if not _git(here.parent, "ls-files", here.name):
        return ""
    return _git(here.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str:
    """What git prints about ``folder``; nothing where it fails."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


@cache
def package_version() -> str:
    """The version of this distribution."""
    try:
        return version("distillation-bench")
    except PackageNotFoundError:
        import bench

        return bench.__version__


@cache
def describe(
    device: torch.device, precision: str = "fp32", strategy: str = "reference"
) -> Environment:
    """What runs here: versions, device, driver, threads, and the calibration kernel's time."""
    import torch

    from bench.measure import calibrate

    cuda = device.type == "cuda"
    return Environment(
        commit=commit(),
        package=package_version(),
        python=platform.python_version(),
        torch=torch.__version__,
        device=torch.cuda.get_device_name(device) if cuda else _processor(),
        driver=f"CUDA {torch.version.cuda}" if cuda else "",
        threads=torch.get_num_threads(),
        precision=precision,
        platform=platform.platform(),
        calibration_seconds=calibrate(device),
        strategy=strategy,
    )


def _processor() -> str:
    """The CPU's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return f"CPU {names[0] if names else platform.processor() or platform.machine()}"
