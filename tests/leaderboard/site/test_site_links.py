"""Names of pages: safe for any file system and link, and never shared by two names."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from leaderboard.site import links


@given(st.lists(st.text(min_size=1, max_size=80), min_size=2, max_size=20, unique=True))
def test_different_names_have_different_safe_slugs(names: list[str]) -> None:
    slugs = [links.slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*", slug) for slug in slugs)


@given(st.text(min_size=1, max_size=80))
def test_a_slug_taken_as_a_name_does_not_collide_with_its_origin(name: str) -> None:
    slug = links.slug(name)
    assert slug == name or links.slug(slug) != slug


def test_names_that_differ_in_case_only_get_different_files() -> None:
    assert links.method_page("DM").lower() != links.method_page("dm").lower()


def test_plain_names_stay_readable_and_device_names_do_not_stand() -> None:
    assert links.method_page("model-pool-kd") == "methods/model-pool-kd.html"
    assert links.slug("con") != "con"
    assert links.slug("..") not in ("", ".", "..")


@given(
    st.lists(st.text(max_size=20), min_size=1, max_size=4),
    st.lists(st.text(max_size=20), min_size=1, max_size=4),
)
def test_anchors_are_valid_ids_and_unique(a: list[str], b: list[str]) -> None:
    a, b = ([part.replace("\x1f", "") for part in parts] for parts in (a, b))
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", links.anchor(*a))
    assert (links.anchor(*a) == links.anchor(*b)) == (a == b)


def test_the_way_up_leads_to_the_root() -> None:
    assert links.up("index.html") == ""
    assert links.up("methods/dm.html") == "../"
