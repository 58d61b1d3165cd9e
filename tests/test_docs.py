"""What the pages in ``docs`` show is what their scripts print."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).parent.parent / "docs"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_on_the_two_pass_gradient_shows_what_is_measured() -> None:
    page = (DOCS / "two-pass-gradient.md").read_text()
    for line in script("two_pass_gradient").table(steps=(1, 5)):
        assert line in page.splitlines()
