"""Plug-ins: names are found without imports, and one name means one thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import plugins
from bench.errors import ContractError, UnknownName
from tests.conftest import Install


def test_a_strangers_plugin_stands_among_ours(install: Install) -> None:
    install({"networks": {"mine": "collections:OrderedDict"}})
    assert "mine" in plugins.names("networks")
    assert {"convnet-d3", "vit"} <= set(plugins.names("networks"))
    assert plugins.load("networks", "mine").__name__ == "OrderedDict"


def test_listing_names_imports_nothing(install: Install) -> None:
    install({"networks": {"absent": "no_such_module:thing"}})
    assert "absent" in plugins.names("networks")
    with pytest.raises(ContractError, match="'absent' is registered as 'no_such_module:thing'"):
        plugins.load("networks", "absent")


def test_a_module_that_raises_is_named_with_its_package(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raising_plugin.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    install({"networks": {"mine": "raising_plugin:thing"}})
    with pytest.raises(ContractError, match=r"ZeroDivisionError.*Reinstall or mend fakes"):
        plugins.load("networks", "mine")


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match="convnet-d3"):
        plugins.load("networks", "convnet-d33")


def test_one_name_for_two_things_is_refused(install: Install) -> None:
    install({"methods": {"dm": "methods.random_real:RandomReal"}})
    with pytest.raises(ContractError, match=r"'dm' is registered twice.*by fakes.*uninstall one"):
        plugins.names("methods")


def test_the_same_thing_registered_twice_is_one(install: Install) -> None:
    install({"methods": {"dm": "methods.dm:DistributionMatching"}})
    assert plugins.names("methods").count("dm") == 1
