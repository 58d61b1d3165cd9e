"""The pixel space of a stranger's set: found when the pixels settle it, never guessed."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench import artifacts
from bench.data import SyntheticSet
from bench.errors import BadFile, UnknownName
from bench.exchange import Imported, read
from bench.exchange.pixel_space import Evidence, maps_for
from bench.exchange.pixel_statistics import grey_level_share, measure
from bench.preprocessing import Preprocessing
from bench.randomness import generator
from bench.specs import DatasetSpec

CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
CIFAR100 = ((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762))
DATA = Path(os.environ.get("BENCH_DATA", Path(__file__).parents[3] / "shared/data"))

ImportSet = Callable[..., Imported]
Photographs = Callable[..., Tensor]


def noise(images: Tensor, scale: float, seed: int = 0) -> Tensor:
    return images + scale * torch.randn(images.shape, generator=generator("learned", seed))


def saved(images: Tensor, folder: Path, name: str = "set.pt") -> Path:
    torch.save(images, folder / name)
    return folder / name


def constants_of(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(images.mean((0, 2, 3)).tolist()), tuple(images.std((0, 2, 3)).tolist())


@pytest.fixture
def hundred(spec: DatasetSpec) -> DatasetSpec:
    return replace(spec, name="cifar100", mean=CIFAR100[0], std=CIFAR100[1])


def normalised(pixels: Tensor, constants: tuple[tuple[float, ...], tuple[float, ...]]) -> Tensor:
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in constants)
    return (pixels / 255 - mean) / std


# ---- what auto settles


@pytest.mark.parametrize("learned", [0.0, 0.05])
def test_unit_pixels_are_recognised_and_encoded(
    learned: float, pixels: Tensor, import_set: ImportSet, normalise: Preprocessing, tmp_path: Path
) -> None:
    unit = noise(pixels / 255, learned)
    got = import_set(saved(unit, tmp_path)).synthetic.images
    torch.testing.assert_close(got, normalise.encode(unit), rtol=1e-6, atol=1e-6)


def test_byte_pixels_become_exactly_what_real_data_become(
    pixels: Tensor, import_set: ImportSet, normalise: Preprocessing, tmp_path: Path
) -> None:
    got = import_set(saved(pixels, tmp_path)).synthetic.images
    assert torch.equal(got, normalise.forward(pixels))


def test_learned_byte_pixels_in_floating_point_are_recognised(
    pixels: Tensor, import_set: ImportSet, normalise: Preprocessing, tmp_path: Path
) -> None:
    learned = noise(pixels.float(), 10.0)
    got = import_set(saved(learned, tmp_path)).synthetic.images
    torch.testing.assert_close(got, normalise.encode(learned / 255), rtol=1e-5, atol=1e-5)


def test_normalised_images_are_recognised_and_kept_bit_for_bit(
    images: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    imported = import_set(saved(images, tmp_path))
    assert torch.equal(imported.synthetic.images, images)
    assert any("Pixel space 'model-input'" in note for note in imported.notes)


def test_whitened_images_are_recognised_under_whitening(
    pixels: Tensor, import_set: ImportSet, whiten: Preprocessing, tmp_path: Path
) -> None:
    whitened = whiten.forward(pixels)
    imported = import_set(saved(whitened, tmp_path), preprocessing=whiten)
    assert torch.equal(imported.synthetic.images, whitened)
    assert "taken on trust" in " ".join(imported.notes)


def test_normalised_images_are_whitened_through_their_pixels(
    pixels: Tensor,
    import_set: ImportSet,
    normalise: Preprocessing,
    whiten: Preprocessing,
    tmp_path: Path,
) -> None:
    path = saved(normalise.forward(pixels), tmp_path)
    got = import_set(path, preprocessing=whiten).synthetic.images
    torch.testing.assert_close(got, whiten.forward(pixels), rtol=1e-4, atol=1e-4)


@settings(max_examples=150, deadline=None)
@given(
    truth=st.sampled_from(["model-input", "unit", "bytes"]),
    learned=st.floats(0, 2),
    seed=st.integers(0, 50),
)
def test_auto_finds_the_truth_or_refuses_but_never_errs(
    truth: str,
    learned: float,
    seed: int,
    photographs: Photographs,
    spec: DatasetSpec,
    normalise: Preprocessing,
) -> None:
    pixels = photographs(30, seed)
    stored = {
        "model-input": normalise.forward(pixels),
        "unit": pixels / 255,
        "bytes": pixels.float(),
    }[truth]
    scale = {"model-input": 1.0, "unit": 0.2, "bytes": 50.0}[truth]
    evidence = Evidence(
        images=noise(stored, learned * scale, seed),
        whitened=None,
        maps=maps_for(spec, normalise),
        spec=spec,
        source="set.pt",
    )
    try:
        assert evidence.settle()[0] == truth
    except BadFile:
        assert learned > 0.15


# ---- what auto refuses


def test_whitened_images_are_refused_where_the_evaluation_normalises(
    pixels: Tensor, import_set: ImportSet, whiten: Preprocessing, tmp_path: Path
) -> None:
    path = saved(whiten.forward(pixels), tmp_path)
    with pytest.raises(BadFile, match="ZCA-whitened by all signs"):
        import_set(path)
    with pytest.raises(BadFile, match="those of ZCA-whitened images"):
        import_set(path, space="model-input")


def test_noise_could_be_whitened_so_the_user_must_say(
    import_set: ImportSet, tmp_path: Path
) -> None:
    path = saved(torch.randn(6, 3, 16, 16, generator=generator("init")), tmp_path)
    with pytest.raises(BadFile, match=r"--space model-input\. ZCA-whitened images.*excluded"):
        import_set(path)
    assert "as stated" in import_set(path, space="model-input").notes[-1]


def test_a_zca_folder_counts_as_a_statement(
    images: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    (tmp_path / "zca").mkdir()
    path = saved(images, tmp_path / "zca", "images_best.pt")
    with pytest.raises(BadFile, match="ZCA"):
        import_set(path)
    with pytest.raises(BadFile, match="the folder or its files say"):
        import_set(path, space="model-input")


def test_pixels_that_fit_nothing_are_refused_with_every_reason(
    import_set: ImportSet, tmp_path: Path
) -> None:
    path = saved(torch.full((6, 3, 16, 16), 2.0).cumsum(3).remainder(7), tmp_path)
    with pytest.raises(BadFile, match=r"fit no known space \(model-input: hardly any.*bytes: a st"):
        import_set(path)


# ---- contradictions


@pytest.mark.parametrize(
    ("stored", "stated", "message"),
    [
        ("unit", "model-input", "hardly any value is negative.*Its pixels fit: unit"),
        ("bytes", "model-input", "hardly any value is negative.*Its pixels fit: bytes"),
        ("unit", "bytes", "far too small"),
        ("bytes", "unit", "far too large"),
        ("model-input", "unit", "negative values make up 5[0-9]% of|negative values make up 4"),
        ("model-input", "bytes", "negative values make up"),
    ],
)
def test_a_statement_that_the_pixels_contradict_is_refused(
    stored: str,
    stated: str,
    message: str,
    images: Tensor,
    pixels: Tensor,
    import_set: ImportSet,
    tmp_path: Path,
) -> None:
    tensors = {"unit": pixels / 255, "bytes": pixels, "model-input": images}
    with pytest.raises(BadFile, match=message):
        import_set(saved(tensors[stored], tmp_path), space=stated)


def test_an_unknown_space_is_refused_before_the_file_is_touched(import_set: ImportSet) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'unit'"):
        import_set(Path("absent.pt"), space="units")


def test_the_header_is_a_statement_too(
    pixels: Tensor, synthetic: SyntheticSet, import_set: ImportSet, tmp_path: Path
) -> None:
    path = tmp_path / "set.safetensors"
    artifacts.save(replace(synthetic, images=pixels / 255), path)
    with pytest.raises(BadFile, match=r"says that it was preprocessed by.*hardly any value"):
        import_set(path)


def test_the_user_cannot_contradict_the_header(
    synthetic: SyntheticSet, import_set: ImportSet, tmp_path: Path
) -> None:
    artifacts.save(synthetic, tmp_path / "set.safetensors")
    with pytest.raises(BadFile, match="yet 'unit' is stated"):
        import_set(tmp_path / "set.safetensors", space="unit")


# ---- other constants


def test_unaltered_pixels_tell_whose_mean_and_std_were_used(
    pixels: Tensor, hundred: DatasetSpec, tmp_path: Path
) -> None:
    own = Preprocessing.normalize(hundred)
    path = saved(normalised(pixels, CIFAR10), tmp_path)
    imported = read(path, hundred, preprocessing=own)
    torch.testing.assert_close(imported.synthetic.images, own.forward(pixels), rtol=0, atol=1e-5)
    with pytest.raises(BadFile, match="only under another mean and std"):
        read(path, hundred, preprocessing=own, space="model-input")


def test_learned_images_of_cifar100_need_a_statement_and_the_likelier_is_named(
    photographs: Photographs, hundred: DatasetSpec, tmp_path: Path
) -> None:
    many = photographs(30)
    mean, std = constants_of(many / 255)
    hundred = replace(hundred, mean=mean, std=std)
    own = Preprocessing.normalize(hundred)
    for constants, likelier in ((CIFAR10, "cifar10-normalised"), ((mean, std), "model-input")):
        path = saved(noise(normalised(many, constants), 0.1), tmp_path)
        with pytest.raises(BadFile, match=f"model-input or cifar10-normalised.*, {likelier}"):
            read(path, hundred, preprocessing=own)


def test_images_with_cifar10s_constants_are_re_encoded_when_stated(
    pixels: Tensor, hundred: DatasetSpec, tmp_path: Path
) -> None:
    own = Preprocessing.normalize(hundred)
    unit = noise(pixels / 255, 0.02)
    path = saved(normalised(unit * 255, CIFAR10), tmp_path)
    got = read(path, hundred, preprocessing=own, space="cifar10-normalised").synthetic.images
    torch.testing.assert_close(got, own.encode(unit), rtol=1e-5, atol=1e-5)


def test_a_set_with_other_constants_in_its_header_is_re_encoded_exactly(
    synthetic: SyntheticSet, spec: DatasetSpec, tmp_path: Path
) -> None:
    artifacts.save(synthetic, tmp_path / "set.safetensors")
    other = Preprocessing.normalize(replace(spec, mean=(0.5,) * 3, std=(0.25,) * 3))
    imported = read(tmp_path / "set.safetensors", spec, preprocessing=other)
    mean, std = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (spec.mean, spec.std))
    expected = (synthetic.images.double() * std + mean - 0.5) / 0.25
    torch.testing.assert_close(imported.synthetic.images.double(), expected, rtol=1e-6, atol=1e-6)
    assert imported.synthetic.header is not None
    assert imported.synthetic.header.preprocessing == other.header()
    assert "Re-encoded through [0, 1] pixels" in imported.notes[-1]


def test_a_normalised_set_of_ours_is_not_taken_for_a_whitened_one(
    synthetic: SyntheticSet, import_set: ImportSet, whiten: Preprocessing, tmp_path: Path
) -> None:
    artifacts.save(synthetic, tmp_path / "set.safetensors")
    with pytest.raises(BadFile, match="ZCA-whitened images cannot be converted"):
        import_set(tmp_path / "set.safetensors", preprocessing=whiten)


# ---- the statistics


@settings(max_examples=50, deadline=None)
@given(scale=st.floats(0.01, 100), skew=st.floats(0.1, 5), seed=st.integers(0, 1000))
def test_balance_is_one_half_for_centred_images_of_any_shape_and_contrast(
    scale: float, skew: float, seed: int
) -> None:
    x = torch.rand(4, 3, 8, 8, dtype=torch.float64, generator=generator("balance", seed)) ** skew
    assert measure(scale * (x - x.mean())).balance == pytest.approx(0.5, abs=1e-6)


def test_smoothness_is_the_correlation_of_neighbours() -> None:
    columns = torch.arange(16.0).remainder(2).mul(2).sub(1).expand(2, 3, 16, 16)
    assert measure(columns).smoothness == pytest.approx((-1 + 1) / 2, abs=1e-6)
    assert measure(torch.zeros(1, 3, 16, 16)).smoothness == 1


def test_grey_levels_are_counted() -> None:
    unit = torch.arange(0, 256).double().div(255).view(1, 1, 16, 16)
    assert grey_level_share(unit) == 1
    assert grey_level_share(unit + 0.5 / 255) == 0
    assert grey_level_share(unit + 1) < 0.01


@pytest.mark.skipif(
    not (DATA / "cifar10-lossless-6k").is_dir(), reason="needs cifar10-lossless-6k in BENCH_DATA"
)
def test_the_documented_figures_of_cifar10_hold() -> None:
    import numpy as np
    import pyarrow.parquet as pq
    from PIL import Image

    column = pq.read_table(DATA / "cifar10-lossless-6k/test.parquet", columns=["img"])["img"]
    arrays = [np.array(Image.open(io.BytesIO(row["bytes"].as_py()))) for row in column]
    pixels = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)
    unit, centred = measure(pixels / 255), measure(normalised(pixels, CIFAR10))
    assert unit.balance == 0
    assert 0.48 <= centred.balance <= 0.51
    assert centred.smoothness == pytest.approx(0.9, abs=0.03)
    assert centred.std == pytest.approx(1.2, abs=0.1)
    assert measure(pixels).std == pytest.approx(63, abs=5)
