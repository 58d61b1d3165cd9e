"""Strange surroundings: another locale, any script, no home, no network, a clock that goes back.

One run has them all, in a process of its own: what a locale means is settled when Python starts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import datasets, records
from leaderboard import reading
from tests.reliability.conftest import Report
from tests.reliability.runs import CHECKOUT, Victims, facts, results, store_in
from tests.reliability.victim import Outcome

RUN = ("run", "-p", "tiny-grid", "-m", "walk", "--seeds", "1", "--jobs", "1", "--device", "cpu")


def draw_tree(folder: Path) -> Path:
    """Class folders of 8×8 pictures under names in several scripts."""
    rng = np.random.default_rng(0)
    for name in ("größe", "İstanbul", "数据"):
        (folder / name).mkdir(parents=True)
        for number in range(5):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"Bild № {number}.png")
    return folder


def without_network() -> list[str]:
    """A command that takes the network away from another one, where that is allowed."""
    prefix = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None:
        return []
    tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return prefix if tried.returncode == 0 else []


def strangely(victims: Victims, folder: Path, *arguments: str, **more: str) -> Outcome:
    """The command as a process of its own in strange surroundings."""
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(victims.site), str(CHECKOUT), *filter(None, sys.path)]),
        "TMPDIR": str(folder / "tmp"),
        "OMP_NUM_THREADS": "1",
        "LC_ALL": "C",
        **more,
    }
    code = "from bench.cli import main; main()"
    done = subprocess.run(
        [*without_network(), sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    said = done.stderr.decode(errors="replace")
    return Outcome(code=done.returncode, told=[], operations=0, folders=[], seconds=0, errors=said)


def test_a_run_in_strange_surroundings_gives_the_usual_results(
    victims: Victims, tmp_path: Path
) -> None:
    folder = tmp_path / "Ωmega 数据 ğ"
    tree = draw_tree(folder / "Bilder")
    own = ("--dataset", f"bilder={tree}")
    # neither a plus-minus sign nor the frame of a table can be printed
    poor = {"PYTHONIOENCODING": "ascii"}
    strange = strangely(victims, folder, *RUN, *own, "--store", str(folder / "runs"), **poor)
    assert strange.code == 0, strange.errors
    assert "Traceback" not in strange.errors
    assert list((folder / "tmp" / "distillation-bench").rglob("facts.json"))

    usual = tmp_path / "usual"
    outcome = victims.run(usual, methods="walk", seeds=1, options=own)
    assert outcome.code == 0, outcome.errors
    assert results(folder) == results(usual)
    found = records.read_all(store_in(folder).records)
    assert {record.trial.dataset for record in found} == {"bilder"}


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["POSIX", "C.UTF-8", "tr_TR.UTF-8"])
def test_every_command_works_under_every_locale(
    victims: Victims, tmp_path: Path, locale: str, report: Report
) -> None:
    listed = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=True).stdout
    known = {name.lower().replace("-", "") for name in listed.split()}
    if locale.lower().replace("-", "") not in known:
        pytest.skip(f"this machine has no locale {locale}")
    folder = tmp_path / "größe"
    (folder / "data").mkdir(parents=True)
    store = ("--store", str(folder / "runs"))
    for arguments in (
        (*RUN, *store),
        ("run", "-p", "tiny-grid", "-m", "walk", "--dry-run", *store),
        ("leaderboard", "show", *store),
        ("list", "methods"),
        ("data", "status"),
        ("--help",),
    ):
        done = strangely(victims, folder, *arguments, LC_ALL=locale)
        assert done.code == 0, (arguments, done.errors)
        assert "Traceback" not in done.errors
    report(f"six commands under {locale}, without home and network")


def test_a_clock_that_goes_back_changes_no_result(victims: Victims, tmp_path: Path) -> None:
    backwards, usual = tmp_path / "backwards", tmp_path / "usual"
    small = {"methods": "taught", "seeds": 1}
    assert victims.run(usual, **small).code == 0
    late = victims.run(backwards, knock="clock", **small)
    assert late.code == 0, late.errors
    assert results(backwards) == results(usual)
    first, second = records.read_all(store_in(backwards).records)
    assert first.time > second.time
    assert victims.run(backwards, **small).told == []  # what was recorded in the future stands
    found = reading.read([store_in(backwards).records])
    assert [facts(record) for record in found.records] == [facts(first), facts(second)]


def test_a_picture_that_changed_before_it_was_made_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock went back between two changes of a source: its time of change is older."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    tree = draw_tree(tmp_path / "tree")
    before = datasets.load(f"mine={tree}").train.checksum
    picture = next(tree.rglob("Bild № 0.png"))
    other = next(tree.rglob("Bild № 1.png"))
    picture.write_bytes(other.read_bytes())
    os.utime(picture, (0, 0))
    assert datasets.load(f"mine={tree}").train.checksum != before
