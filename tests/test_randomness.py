"""Seeds from scopes: the same everywhere, and independent of each other."""

from __future__ import annotations

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from bench.randomness import child_seed, choose, derive_seed, generator

SCOPES = st.lists(st.text(st.characters(exclude_characters="\x1f")) | st.integers(), max_size=4)


def test_a_seed_is_sixty_three_bits_of_a_sha256() -> None:
    text = "str:distill\x1fstr:dm\x1fint:0"
    expected = int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) // 2
    assert derive_seed("distill", "dm", 0) == expected


@given(one=SCOPES, other=SCOPES)
def test_different_scopes_have_different_seeds(
    one: list[str | int], other: list[str | int]
) -> None:
    same = [(type(part), part) for part in one] == [(type(part), part) for part in other]
    assert (derive_seed(*one) == derive_seed(*other)) == same
    assert 0 <= derive_seed(*one) < 2**63


def test_a_number_and_its_text_are_different_parts() -> None:
    assert derive_seed(1) != derive_seed("1")


def test_generators_of_one_scope_draw_alike() -> None:
    first, again, other = (
        torch.rand(5, generator=generator(*scope)) for scope in (("a", 1), ("a", 1), ("a", 2))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_choice_is_any_of_them_about_equally_often(count: int) -> None:
    rng = generator("choices")
    drawn = torch.tensor([choose(count, rng) for _ in range(600)]).bincount(minlength=count)
    assert len(drawn) == count
    assert (drawn - 600 / count).abs().max() < 60


def test_a_choice_is_a_number_also_where_tensors_are_fake() -> None:
    expected = choose(100, generator("fake"))
    with FakeTensorMode():
        assert choose(100, generator("fake")) == expected


def test_child_seeds_differ_and_repeat() -> None:
    rng = generator("children")
    seeds = [child_seed(rng) for _ in range(100)]
    again = generator("children")
    assert len(set(seeds)) == 100
    assert [child_seed(again) for _ in range(100)] == seeds
    assert all(0 <= seed < 2**63 for seed in seeds)
