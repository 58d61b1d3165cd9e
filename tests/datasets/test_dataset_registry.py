"""What is registered, what is known about it, and the ``bench data`` command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from dataset_files import random_pixels, write_tree
from typer.testing import CliRunner

from bench import datasets, plugins
from bench.cli.data import app
from bench.datasets import builtin, download, locations, wordnet
from bench.datasets.sources import registered
from bench.errors import ContractError, MissingData

NAMES = plugins.names("datasets")

STRANGER = """
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.datasets import Dataset, Part
from bench.specs import DatasetSpec


@dataclass(frozen=True)
class Noise:
    layout: str = "noise.bin"

    def files(self, root):
        path = root / self.layout
        return (path,) if path.is_file() else ()

    def read(self, root, spec):
        pixels = np.frombuffer((root / self.layout).read_bytes(), np.uint8).reshape(-1, *spec.shape)
        labels = np.arange(len(pixels)) % spec.num_classes
        return Part(pixels[:4], labels[:4]), Part(pixels[4:], labels[4:])


def fetch(root):
    root.mkdir(parents=True, exist_ok=True)
    (root / "noise.bin").write_bytes(bytes(range(24)) * 4)


NOISE = Dataset(
    spec=DatasetSpec(
        name="noise", classes=("a", "b"), channels=1, size_px=4, mean=(0.5,), std=(0.5,)
    ),
    reader=Noise(),
    title="Noise",
    source="nowhere",
    licence="MIT",
    train_count=4,
    test_count=2,
    fetch=fetch,
)
MISNAMED = "a text"
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package of somebody else's that registers the dataset ``noise``."""
    package = tmp_path / "package"
    info = package / "strange-0.dist-info"
    info.mkdir(parents=True)
    (package / "strange.py").write_text(STRANGER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 0\n")
    points = "[bench.datasets]\nnoise = strange:NOISE\nmisnamed = strange:MISNAMED\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(package)
    plugins._registered.cache_clear()
    yield
    plugins._registered.cache_clear()
    sys.modules.pop("strange", None)


@pytest.mark.parametrize("name", NAMES)
def test_every_registered_dataset_says_what_it_is(name: str) -> None:
    dataset = registered(name)
    assert dataset.spec.name == name
    assert len(set(dataset.spec.classes)) == dataset.spec.num_classes
    assert all(0 < value < 1 for value in dataset.spec.mean + dataset.spec.std)
    assert dataset.train_count > dataset.test_count > 0
    assert dataset.title
    assert dataset.source
    assert dataset.licence
    assert dataset.fetch or dataset.by_hand or dataset.reader.files(Path("nowhere"))


def test_the_datasets_of_the_field_are_registered() -> None:
    ours = {point.name for point in entry_points(group="bench.datasets")}
    assert set(NAMES) == ours
    assert {"digits", "cifar10", "cifar100", "tiny-imagenet", "imagenet-1k-64"} <= ours


def test_only_mirror_images_of_digits_are_other_digits() -> None:
    unmirrored = {name for name in NAMES if not datasets.describe(name).mirror}
    assert unmirrored == {"digits", "mnist", "svhn"}


def test_class_lists_are_complete_and_ordered() -> None:
    assert len(wordnet.IMAGENET_1K) == len(set(wordnet.IMAGENET_1K)) == 1_000
    assert wordnet.IMAGENET_1K[0] == "n01440764"
    assert wordnet.IMAGENET_1K[999] == "n15075141"
    assert wordnet.ILSVRC2012_ORDER[0] == "n02119789"
    assert wordnet.ILSVRC2012_ORDER[999] == "n03255030"
    assert len(set(wordnet.TINY_IMAGENET)) == 200
    assert list(wordnet.TINY_IMAGENET) == sorted(wordnet.TINY_IMAGENET)
    assert set(wordnet.TINY_IMAGENET) <= set(wordnet.IMAGENET_1K)
    assert list(builtin.CIFAR100_CLASSES) == sorted(builtin.CIFAR100_CLASSES)
    assert len(builtin.CIFAR100_CLASSES) == 100


def test_published_md5s_are_those_that_torchvision_knows() -> None:
    from torchvision.datasets import CIFAR10, CIFAR100

    for dataset, known in ((builtin.CIFAR10, CIFAR10), (builtin.CIFAR100, CIFAR100)):
        assert [list(batch) for batch in dataset.reader.train] == known.train_list
        assert [list(batch) for batch in dataset.reader.test] == known.test_list
        assert dataset.reader.layout == known.base_folder


def test_describing_and_looking_up_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from bench import datasets, plugins\n"
        "for name in plugins.names('datasets'): datasets.describe(name); datasets.facts(name)\n"
        "print([m for m in ('torch', 'numpy', 'PIL', 'pyarrow', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_facts_grow_with_what_has_been_read(root: Path) -> None:
    write_tree(root / "pets", {name: random_pixels(5, 1, 8, 8, seed=ord(name)) for name in "ab"})
    name = f"pets={root / 'pets'}"
    before = datasets.facts(name)
    assert (before.present, before.cached, before.checksum) == (True, False, None)
    assert (before.train_count, before.test_count) == (None, None)
    pair = datasets.load(name)
    after = datasets.facts(name)
    assert (after.present, after.cached) == (True, True)
    assert (after.train_count, after.test_count) == (len(pair.train), len(pair.test))
    assert after.path == root / "pets"
    assert after.checksum is not None


def test_facts_of_missing_data_say_why(root: Path) -> None:
    facts = datasets.facts("mnist", root)
    assert not facts.present
    assert (facts.train_count, facts.test_count) == (60_000, 10_000)
    assert facts.missing is not None
    assert "bench data fetch mnist" in facts.missing
    assert json.loads(json.dumps(facts.as_dict()))["path"] == str(root)


@pytest.mark.usefixtures("stranger")
def test_a_stranger_registers_a_dataset(root: Path) -> None:
    assert "noise" in plugins.names("datasets")
    with pytest.raises(MissingData, match="Noise is not under"):
        datasets.load("noise")
    assert datasets.fetch("noise") == root / "noise.bin"
    pair = datasets.load("noise")
    assert (len(pair.train), len(pair.test)) == (4, 2)
    assert datasets.describe("noise").classes == ("a", "b")


@pytest.mark.usefixtures("stranger")
def test_a_dataset_that_is_none_breaks_the_contract() -> None:
    with pytest.raises(ContractError, match=r"expected a bench\.datasets\.Dataset"):
        datasets.describe("misnamed")


@pytest.mark.usefixtures("stranger")
def test_another_count_than_published_is_no_such_dataset(root: Path) -> None:
    (root / "noise.bin").write_bytes(bytes(16) * 7)
    result = datasets.verify("noise")
    assert result.problems == (
        f"Noise under {root} has 4 training and 3 test images; expected 4 and 2.",
    )


def test_verification_finds_what_was_changed_behind_the_cache(root: Path, cache: Path) -> None:
    write_tree(root / "pets", {name: random_pixels(5, 1, 8, 8, seed=ord(name)) for name in "ab"})
    name = f"pets={root / 'pets'}"
    datasets.load(name)
    assert datasets.verify(name).problems == ()
    (path,) = cache.glob("datasets/*/test.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    assert "damaged" in datasets.verify(name).problems[0]


def test_verification_compares_with_the_published_checksum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert datasets.verify("digits").problems == ()
    other = replace(builtin.DIGITS, checksum="0" * 64)
    monkeypatch.setattr(builtin, "DIGITS", other)
    assert "differ from the published" in datasets.verify("digits").problems[0]


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10-lossless-6k"])
def test_real_data_are_the_published_ones(name: str, real_data: Path) -> None:
    assert datasets.verify(name, real_data).problems == ()


@pytest.mark.slow
def test_the_jpeg_version_is_the_published_one(real_data: Path) -> None:
    assert datasets.verify("cifar10-jpeg75", real_data).problems == ()


def test_a_failed_download_is_one_sentence(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import SVHN

    monkeypatch.setitem(SVHN.split_list, "train", ["http://localhost:1/x.mat", "x.mat", "0"])
    with pytest.raises(MissingData, match="SVHN could not be downloaded") as error:
        download.fetch_svhn(root)
    assert "\n" not in str(error.value)


def test_what_cannot_be_downloaded_says_how_to_make_it(root: Path) -> None:
    with pytest.raises(MissingData, match=f"as PNG.* in {root}/cifar10-lossless-6k, or set"):
        datasets.fetch("cifar10-lossless-6k")


def test_the_data_root_is_argument_then_environment_then_here(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert locations.data_root(tmp_path / "given") == tmp_path / "given"
    assert locations.data_root() == root
    monkeypatch.delenv("BENCH_DATA")
    monkeypatch.chdir(tmp_path)
    assert locations.data_root() == tmp_path / "data"


def test_the_cache_falls_back_from_place_to_place(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert locations.cache_folder() == cache
    monkeypatch.delenv("BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert locations.cache_folder() == tmp_path / "xdg" / "distillation-bench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locations.cache_folder() == tmp_path / ".cache" / "distillation-bench"
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("USERPROFILE", raising=False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "tmp"))
    assert locations.cache_folder() == tmp_path / "tmp" / "distillation-bench"


def test_the_status_command_prints_a_table_and_json(root: Path) -> None:
    runner = CliRunner()
    shown = runner.invoke(app, ["status"])
    assert shown.exit_code == 0
    assert "cifar10-lossless-6k" in shown.stdout
    assert str(root) in shown.stderr
    done = runner.invoke(app, ["status", "digits", "mnist", "--json", "--data-root", str(root)])
    rows = {row["name"]: row for row in json.loads(done.stdout)["datasets"]}
    assert rows["digits"]["present"]
    assert not rows["mnist"]["present"]


def test_the_verify_command_fails_when_something_differs(root: Path) -> None:
    runner = CliRunner()
    write_tree(root / "pets", {name: random_pixels(5, 1, 8, 8, seed=ord(name)) for name in "ab"})
    name = f"pets={root / 'pets'}"
    good = runner.invoke(app, ["verify", name, "--json"])
    assert good.exit_code == 0
    assert json.loads(good.stdout)["datasets"][0]["problems"] == []
    (root / "pets" / "a" / "000.png").write_bytes(b"broken")
    bad = runner.invoke(app, ["verify", name])
    assert bad.exit_code == 1
    assert "000.png" in "".join(bad.stdout.split())


@pytest.mark.usefixtures("root")
def test_what_was_verified_is_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "empty"))
    assert not datasets.facts("digits").cached
    assert datasets.verify("digits").problems == ()
    assert datasets.facts("digits").cached


@pytest.mark.usefixtures("stranger")
def test_the_fetch_command_downloads_what_is_missing(root: Path) -> None:
    runner = CliRunner()
    first = runner.invoke(app, ["fetch", "noise"])
    assert first.exit_code == 0
    assert str(root / "noise.bin") in first.stdout
    second = runner.invoke(app, ["fetch", "noise"])
    assert "already there" in second.stderr
    assert isinstance(runner.invoke(app, ["fetch", "cifar10-jpeg75"]).exception, MissingData)


@pytest.mark.parametrize("command", ["status", "fetch", "verify"])
def test_each_help_has_an_example(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"]).stdout
    assert f"bench data {command}" in " ".join(shown.split())
