"""Network names: what they mean, and what is said when they mean nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from bench import networks
from bench.errors import BenchError, ContractError, InvalidValue, UnknownName
from bench.networks.names import parse
from bench.specs import DatasetSpec

SpecOf = Callable[..., DatasetSpec]


@pytest.mark.parametrize(
    ("name", "base", "modifiers"),
    [
        ("convnet-d3", "convnet-d3", {}),
        ("convnet-d2-w32", "convnet-d2", {"width": 32}),
        ("resnet18-bn", "resnet18", {"norm": "bn"}),
        ("resnet18-ap-bn", "resnet18-ap", {"norm": "bn"}),
        ("vit-depth3-heads4", "vit", {"depth": 3, "heads": 4}),
        (
            "convnet-d3-w64-gn-leaky-max",
            "convnet-d3",
            {"width": 64, "norm": "gn", "activation": "leaky", "pooling": "max"},
        ),
    ],
)
def test_a_name_is_the_longest_registered_base_and_modifiers(
    name: str, base: str, modifiers: dict[str, str | int]
) -> None:
    parsed = parse(name)
    assert (parsed.base, parsed.modifiers) == (base, modifiers)


def test_a_size_at_the_end_is_no_modifier() -> None:
    parsed = parse("vgg11-w8-bn@32")
    assert (parsed.base, parsed.size_px) == ("vgg11", 32)
    assert parsed.modifiers == {"width": 8, "norm": "bn"}
    assert parse("vgg11").size_px is None


def test_the_order_of_modifiers_does_not_matter() -> None:
    assert parse("convnet-d3-w64-bn-max") == parse("convnet-d3-max-bn-w64")


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("convnet-d33", UnknownName, "Did you mean 'convnet-d3'?"),
        ("", UnknownName, "No network named ''"),
        ("resnet18-xn", UnknownName, "No network modifier named 'xn'. Did you mean"),
        ("convnet-d3-", UnknownName, "No network modifier named ''"),
        ("convnet-d3-bn-gn", InvalidValue, "gives its norm twice; keep one"),
        ("convnet-d3-w0", InvalidValue, "has width 0; give at least 1"),
        ("vgg11@", InvalidValue, "resizes its images to '' px; give a size such as vgg11@32"),
        ("vgg11@0", InvalidValue, "resizes its images to '0' px"),
        ("vgg11@32-bn", InvalidValue, "resizes its images to '32-bn' px"),
        ("vgg12@32", UnknownName, "No network named 'vgg12'. Did you mean 'vgg11'?"),
    ],
)
def test_a_name_that_means_nothing_is_refused(
    name: str, error: type[BenchError], sentence: str
) -> None:
    with pytest.raises(error) as caught:
        parse(name)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("lenet-bn", "Network 'lenet-bn': lenet takes no norm. Its modifiers: none."),
        (
            "vit-swish",
            "vit takes no activation. Its modifiers: depth: depth<number>; heads: heads<number>; "
            "width: w<number>.",
        ),
        (
            "resnet18-max",
            "resnet18 takes no pooling. Its modifiers: width: w<number>; "
            "norm: in, bn, gn, ln, nonorm.",
        ),
    ],
)
def test_a_modifier_the_network_does_not_take_is_refused_with_those_it_takes(
    spec_of: SpecOf, name: str, sentence: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        networks.build(name, spec_of(3, 32), torch.Generator())
    assert sentence in str(caught.value)


def test_group_norm_refuses_a_width_that_four_groups_do_not_divide(spec_of: SpecOf) -> None:
    with pytest.raises(InvalidValue, match="30 channels do not divide"):
        networks.build("convnet-d1-w30-gn", spec_of(1, 8), torch.Generator())


def test_a_plugin_that_returns_no_network_breaks_the_contract(
    spec_of: SpecOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.plugins.load", lambda group, name: lambda spec: torch.nn.Flatten())
    with pytest.raises(ContractError, match="returned Flatten; it must return"):
        networks.build("mlp", spec_of(1, 8), torch.Generator())


def test_reading_a_name_imports_no_torch() -> None:
    code = (
        "import sys; from bench import networks; networks.parse('convnet-d3-bn'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
