"""The published split rule."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.datasets.split import held_out, kept_and_held_out

LABELS = st.lists(st.integers(0, 4), max_size=120)


@given(labels=LABELS, one_in=st.integers(2, 12))
def test_both_parts_are_disjoint_and_complete(labels: list[int], one_in: int) -> None:
    kept, out = kept_and_held_out(labels, key="toy", one_in=one_in)
    assert sorted(kept + out) == list(range(len(labels)))
    assert kept == sorted(kept)
    assert out == sorted(out)


@given(labels=LABELS, one_in=st.integers(2, 12))
def test_each_class_gives_its_share_but_never_all(labels: list[int], one_in: int) -> None:
    given_out = Counter(labels[index] for index in held_out(labels, key="toy", one_in=one_in))
    for label, count in Counter(labels).items():
        share = round(count / one_in)
        assert given_out[label] == (0 if count == 1 else max(1, share))


@given(labels=LABELS)
def test_a_class_is_split_whatever_the_other_classes_are(labels: list[int]) -> None:
    out = held_out(labels, key="toy", one_in=10)
    merged = held_out([0 if label == 0 else 1 for label in labels], key="toy", one_in=10)
    assert [i for i in out if labels[i] == 0] == [i for i in merged if labels[i] == 0]


def test_the_smallest_hashes_are_held_out() -> None:
    by_hash = sorted(range(30), key=lambda i: hashlib.sha256(f"toy:{i}".encode()).hexdigest())
    assert held_out([7] * 30, key="toy", one_in=10) == sorted(by_hash[:3])


@pytest.mark.parametrize(
    ("key", "expected"),
    [("digits", "f1330b4ff1e2043e"), ("cifar10", "e774d219025ea77c")],
)
def test_the_rule_is_pinned(key: str, expected: str) -> None:
    out = held_out([index % 10 for index in range(50_000)], key=key, one_in=10)
    assert len(out) == 5_000
    assert hashlib.sha256(repr(out).encode()).hexdigest()[:16] == expected
