"""Facts about the machine, as records state them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import torch

from bench import environment
from bench.environment import choose_device, describe
from bench.errors import InvalidValue


def test_auto_is_cuda_where_there_is_one() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type == expected
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "", "cpu:x"])
def test_a_device_that_is_not_here_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match=f"no device '{name}' here"):
        choose_device(name)


def test_the_environment_names_what_ran() -> None:
    facts = describe(torch.device("cpu"), "fp32")
    assert facts.torch == torch.__version__
    assert facts.device.startswith("CPU ")
    assert facts.precision == "fp32"
    assert facts.calibration_seconds > 0


def test_the_commit_is_that_of_this_checkout() -> None:
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", environment.commit())


def test_a_copy_inside_somebody_elses_repository_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment installed inside a project of the user's is not a checkout of ours."""
    if subprocess.run(["git", "init", "-q", tmp_path], check=False).returncode:
        pytest.skip("git is not installed")
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    environment.commit.cache_clear()
    try:
        assert environment.commit() == ""
    finally:
        environment.commit.cache_clear()
