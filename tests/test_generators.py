"""Generators as synthetic sources: fresh, balanced, exact in their pixels, and whole on disk."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench import api, artifacts, evaluation, files
from bench.data import RealSet
from bench.errors import BadFile, BenchError, ContractError, InvalidValue, NotApplicable
from bench.exchange import read
from bench.generators import SyntheticGenerator, from_signed, to_signed
from bench.networks.gan import Discriminator, GanShape, ImageGenerator, build_gan
from bench.preprocessing import Preprocessing
from bench.randomness import generator
from bench.recipes import Recipe
from bench.specs import Budget, DatasetSpec, Header
from tests.fakes import NETWORK, NoiseGenerator, tiny_pair

SPEC = DatasetSpec(
    name="toy",
    classes=("a", "b", "ü/…"),
    channels=3,
    size_px=8,
    mean=(0.4914, 0.4822, 1 / 3),
    std=(0.2023, 0.1994, 0.2010),
)
SPACE = Preprocessing.normalize(SPEC)
SHAPE = GanShape(width=4, latent=7, num_classes=3, channels=3, size_px=8)
HEADER = Header(
    dataset="toy",
    classes=SPEC.classes,
    budget=Budget("inpc", 5),
    preprocessing=SPACE.header(),
    method="dim",
    parameters={"width": 4},
    created={"seed": 3},
)
OWN_FOLDER = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def trained(shape: GanShape = SHAPE) -> ImageGenerator:
    """A generator whose batch-norm statistics are not those of a fresh one."""
    network, _ = build_gan(shape, generator("generators"))
    rng = generator("generators", "training")
    labels = torch.arange(30) % shape.num_classes
    for _ in range(3):
        network(shape.draw_latent(labels, rng))
    return network


def make(per_class: int = 5, header: Header | None = HEADER) -> SyntheticGenerator:
    source = SyntheticGenerator.of(trained(), SHAPE, SPACE, per_class)
    return replace(source, header=header)


# ---------------------------------------------------------------------------- layers


@pytest.mark.parametrize(
    ("size_px", "channels", "sizes_px", "strides"),
    [
        (8, 1, (4, 8), [1, 1, 1, 2]),
        (16, 3, (4, 8, 16), [1, 2, 1, 1, 1, 2]),
        (28, 1, (4, 7, 14, 28), [1, 2, 1, 2, 1, 1, 1, 2]),
        (32, 3, (4, 8, 16, 32), [1, 2, 1, 2, 1, 1, 1, 2]),
        (64, 3, (4, 8, 16, 32, 64), [1, 2, 1, 2, 1, 2, 1, 1, 1, 2]),
    ],
)
def test_both_networks_fit_the_images(
    size_px: int, channels: int, sizes_px: tuple[int, ...], strides: list[int]
) -> None:
    shape = GanShape(width=2, latent=20, num_classes=10, channels=channels, size_px=size_px)
    network, discriminator = build_gan(shape, generator("shapes"))
    assert shape.sizes_px == sizes_px
    images = network(shape.draw_latent(torch.arange(4), generator("latent")))
    assert images.shape == (4, channels, size_px, size_px)
    assert images.abs().max() <= 1
    score, logits = discriminator(images)
    assert (score.shape, logits.shape) == ((4,), (4, 10))
    convolutions = [m for m in discriminator.features if isinstance(m, torch.nn.Conv2d)]
    assert [m.stride[0] for m in convolutions] == strides


def test_the_papers_generator_has_its_parameters() -> None:
    shape = GanShape(width=196, latent=100, num_classes=10, channels=3, size_px=32)
    with torch.device("meta"):
        network, discriminator = ImageGenerator(shape), Discriminator(shape)
    linear, up, convolution, last = (
        100 * 3136 + 3136,
        196 * 196 * 16 + 196,
        196 * 196 * 9 + 196,
        196 * 3 * 9 + 3,
    )
    norms = 2 * 3136 + 7 * 2 * 196
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == linear + 3 * up + 4 * convolution + last + norms == 3_559_363
    norms_px = [32, 16, 16, 8, 8, 8, 8, 4]
    assert sum(parameter.numel() for parameter in discriminator.parameters()) == (
        (196 * 3 * 9 + 196)
        + 7 * convolution
        + sum(2 * 196 * px * px for px in norms_px)
        + 197
        + 10 * 197
    )


def test_a_latent_is_the_label_and_then_noise() -> None:
    labels = torch.tensor([2, 0, 1] * 2000)
    latent = SHAPE.draw_latent(labels, generator("latent"))
    assert latent.shape == (6000, 7)
    assert torch.equal(latent[:, :3], torch.nn.functional.one_hot(labels, 3).float())
    assert latent[:, 3:].mean(0).abs().max() < 0.06
    assert (latent[:, 3:].std(0) - 1).abs().max() < 0.05


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"latent": 3}, InvalidValue, "no room for noise beside the label of 3 classes"),
        ({"width": 0}, InvalidValue, "width of a GAN is 0"),
        ({"width": True}, InvalidValue, "width of a GAN is True"),
        ({"latent": 2**40}, InvalidValue, "latent of a GAN is"),
        ({"size_px": 24}, NotApplicable, "images of 24 px"),
        ({"size_px": 4}, NotApplicable, "images of 4 px"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        replace(SHAPE, **changes)


def test_building_repeats_for_a_seed_and_leaves_global_randomness_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (build_gan(SHAPE, generator("gan", seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    for ours, same, another in zip(first, again, other, strict=True):
        state, repeated = ours.state_dict(), same.state_dict()
        assert all(torch.equal(state[name], repeated[name]) for name in state)
        weights = [p for p in ours.parameters() if p.ndim in (2, 4)]
        others = [p for p in another.parameters() if p.ndim in (2, 4)]
        assert not any(torch.equal(a, b) for a, b in zip(weights, others, strict=True))


def test_upsampling_starts_as_torch_starts_it() -> None:
    network, _ = build_gan(replace(SHAPE, width=32), generator("gan"))
    (layer,) = (m for m in network.modules() if isinstance(m, torch.nn.ConvTranspose2d))
    with torch.random.fork_rng(devices=[]):
        reference = torch.nn.ConvTranspose2d(32, 32, 4, stride=2, padding=1)
    pairs = zip(layer.state_dict().values(), reference.state_dict().values(), strict=True)
    for ours, theirs in pairs:
        assert ours.shape == theirs.shape
        assert float(ours.std()) == pytest.approx(float(theirs.std()), rel=0.3)
        assert float(ours.abs().max()) == pytest.approx(float(theirs.abs().max()), rel=0.1)


# ---------------------------------------------------------------------------- sampling


def test_every_epoch_draws_other_images_of_every_class() -> None:
    source, rng = make(), generator("epochs")
    (first, labels), (second, again) = source.epoch(rng), source.epoch(rng)
    assert first.shape == (15, 3, 8, 8)
    assert labels.tolist() == again.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert ((first - second).flatten(1).abs().amax(1) > 0).all()
    assert len(first.flatten(1).unique(dim=0)) == 15


def test_the_same_draws_give_the_same_images() -> None:
    ours, theirs = (make().epoch(generator("epochs"))[0] for _ in range(2))
    assert torch.equal(ours, theirs)


def test_images_are_those_of_the_network_in_eval_mode_in_model_input_space() -> None:
    network, source = trained(), make()
    labels = torch.arange(3).repeat_interleave(5)
    with torch.no_grad():
        signed = network.eval()(SHAPE.draw_latent(labels, generator("epochs")))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (SPEC.mean, SPEC.std))
    expected = ((signed + 1) / 2 - mean) / std
    assert torch.allclose(source.epoch(generator("epochs"))[0], expected, atol=1e-6)


def test_images_do_not_depend_on_how_many_are_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together = make(40).epoch(generator("epochs"))[0]
    monkeypatch.setattr("bench.generators.BATCH", 7)
    assert torch.allclose(make(40).epoch(generator("epochs"))[0], together, atol=1e-5)


def test_signed_pixels_and_back_change_nothing() -> None:
    signed = torch.rand(5, 3, 8, 8, generator=generator("signed"), dtype=torch.float64) * 2 - 1
    there = from_signed(signed, SPACE)
    assert torch.allclose(to_signed(there, SPACE), signed, atol=1e-12)
    white = SPACE.forward(torch.full((1, 3, 8, 8), 255, dtype=torch.uint8))
    assert torch.equal(from_signed(torch.ones(1, 3, 8, 8), SPACE), white)


def test_another_budget_deploys_the_same_weights() -> None:
    few = make(1, replace(HEADER, budget=Budget("inpc", 1)))
    many = few.with_budget(5)
    assert many.weights is few.weights
    assert many.stored_bytes == few.stored_bytes
    assert many.header == HEADER
    assert torch.equal(many.epoch(generator("e"))[0], make().epoch(generator("e"))[0])
    assert few.epoch(generator("e"))[0].shape == (3, 3, 8, 8)


@pytest.mark.parametrize("per_class", [0, -1])
def test_a_budget_of_nothing_cannot_be(per_class: int) -> None:
    with pytest.raises(InvalidValue, match="cannot be"):
        make().with_budget(per_class)


def test_a_budget_beyond_memory_is_refused_with_the_most_that_works() -> None:
    most = 2**34 // (4 * 3 * 3 * 64)
    assert make().with_budget(most).per_class == most
    with pytest.raises(ContractError, match=f"give {most} at most"):
        make().with_budget(most + 1)


def test_a_source_says_what_it_is() -> None:
    source = make()
    assert (source.label_kind, source.learning_rate) == ("hard", None)
    floats = [value for value in trained().state_dict().values() if value.is_floating_point()]
    assert source.stored_bytes == 4 * sum(value.numel() for value in floats)
    assert repr(source).endswith("5 images of 3×8×8 per class and epoch, dim on toy)")


def test_a_source_moves_between_devices() -> None:
    there = make().to("meta")
    assert there.device.type == "meta"
    assert all(value.device.type == "meta" for value in there.weights.values())


@pytest.mark.gpu
def test_a_device_draws_the_same_images() -> None:
    here, there = make(), make().to("cuda")
    images, labels = there.epoch(generator("epochs"))
    assert images.device.type == labels.device.type == "cuda"
    assert torch.allclose(images.cpu(), here.epoch(generator("epochs"))[0], atol=1e-4)


def test_a_students_training_draws_anew_each_epoch() -> None:
    train = tiny_pair().train
    shape = replace(SHAPE, channels=1)
    source = SyntheticGenerator.of(trained(shape), shape, train.preprocessing, 2)
    recipe = Recipe(epochs=3, augmentation="none")
    drawn: list[Tensor] = []

    class Watched(SyntheticGenerator):
        def epoch(self, rng: torch.Generator) -> tuple[Tensor, Tensor]:
            images, labels = super().epoch(rng)
            drawn.append(images)
            return images, labels

        def to(self, device: torch.device | str) -> Watched:
            return self

    watched = Watched(**{name: getattr(source, name) for name in source.__dataclass_fields__})
    evaluation.evaluate(watched, NETWORK, recipe, tiny_pair().test, [0])
    assert len(drawn) == 3
    assert not torch.equal(drawn[0], drawn[1])
    (plain,) = evaluation.evaluate(source, NETWORK, recipe, tiny_pair().test, [0])
    assert 0 <= plain.accuracy <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 1}, "its channels is 3, but toy has 1"),
        ({"size_px": 16}, "its size_px is 8, but toy has 16"),
        ({"classes": ("a", "b")}, "its num_classes is 3, but toy has 2"),
    ],
)
def test_a_source_for_another_dataset_is_refused(changes: dict[str, Any], message: str) -> None:
    if "channels" in changes:
        changes = changes | {"mean": (0.5,), "std": (0.5,)}
    with pytest.raises(ContractError, match=message):
        make().check(replace(SPEC, **changes))


def broken(name: str, value: Tensor | None) -> dict[str, Tensor]:
    """The weights with one changed or, for ``None``, left out."""
    weights = dict(make().weights)
    if value is None:
        del weights[name]
    else:
        weights[name] = value
    return weights


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("layers.0.bias", None, "weights are not those of GanShape"),
        ("layers.0.bias", torch.zeros(65), "weights are not those of GanShape"),
        ("extra", torch.zeros(1), "weights are not those of GanShape"),
        ("layers.0.bias", torch.zeros(64).double(), "layers.0.bias is torch.float64"),
        ("layers.0.bias", torch.full((64,), torch.nan), "layers.0.bias holds NaN or infinity"),
    ],
)
def test_weights_of_other_layers_are_refused(name: str, value: Tensor | None, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        replace(make(), weights=broken(name, value)).check(SPEC)


def test_a_whitened_pixel_space_is_refused() -> None:
    with pytest.raises(ContractError, match="must be normalised"):
        replace(make(), preprocessing=replace(SPACE, kind="zca")).check(SPEC)


# ---------------------------------------------------------------------------- files


def test_a_saved_generator_draws_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    artifacts.save(make(), path)
    loaded = artifacts.load(path)
    assert isinstance(loaded, SyntheticGenerator)
    assert (loaded.shape, loaded.per_class, loaded.header) == (SHAPE, 5, HEADER)
    assert artifacts.read_header(path) == HEADER
    assert torch.equal(loaded.epoch(generator("e"))[0], make().epoch(generator("e"))[0])
    assert isinstance(api.load(path), SyntheticGenerator)


def test_equal_content_has_one_hash_and_another_budget_another(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    hashes = [artifacts.save(each, path) for each in (make(), make(), make().with_budget(7))]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"header": None}, InvalidValue, "has no header"),
        ({"per_class": 6}, ContractError, "was made for the budget inpc 5"),
        ({"header": replace(HEADER, budget=Budget("ipc", 5))}, ContractError, "budget ipc 5"),
        ({"header": replace(HEADER, classes=("a", "b"))}, ContractError, "but toy has 2"),
        ({"header": replace(HEADER, preprocessing={})}, ContractError, "in the pixel space"),
        ({"weights": {}}, ContractError, "weights are not those"),
    ],
)
def test_a_generator_that_contradicts_its_header_is_not_saved(
    changes: dict[str, Any], error: type[BenchError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        artifacts.save(replace(make(), **changes), tmp_path / "generator.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_source_without_layout_is_not_saved(tmp_path: Path) -> None:
    for source in (NoiseGenerator(labels=torch.arange(3)), tiny_pair().train):
        with pytest.raises(ContractError, match="cannot be stored; hand over"):
            artifacts.save(source, tmp_path / "source.safetensors")


def stored() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a good file."""
    tensors = {f"weights.{name}": value for name, value in make().weights.items()}
    space = {"mean": SPACE.mean.flatten(), "std": SPACE.std.flatten()}
    header = artifacts.header_as_dict(HEADER, artifacts.GENERATOR)
    return tensors | space, header | {"generator": asdict(SHAPE)}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"generator": None}, "broken header: generator"),
        ({"generator": {}}, "describes no generator of this version"),
        ({"generator": asdict(SHAPE) | {"depth": 3}}, "describes no generator of this version"),
        ({"generator": asdict(SHAPE) | {"width": "4"}}, "width of a GAN is '4'"),
        ({"generator": asdict(SHAPE) | {"width": 2**60}}, "width of a GAN is"),
        ({"generator": asdict(SHAPE) | {"width": 5}}, "weights are not those"),
        ({"generator": asdict(SHAPE) | {"size_px": 9}}, "images of 9 px"),
        ({"generator": asdict(SHAPE) | {"channels": 1}}, "a float32 mean of 1 channels"),
        ({"budget": {"kind": "ipc", "count": 5}}, "made for the budget ipc 5"),
        ({"budget": {"kind": "inpc", "count": 10**9}}, "an epoch of 1000000000 images"),
        ({"classes": ["a", "b"]}, "num_classes is 3, but toy has 2"),
        ({"preprocessing": {"kind": "zca"}}, "in the pixel space"),
        ({"schema": 2}, "follows schema 2"),
        ({"kind": "synthetic-set"}, "broken header: generator"),
        ({"mood": "good"}, "broken header: mood"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    header: dict[str, Any], message: str, tmp_path: Path
) -> None:
    tensors, described = stored()
    path = tmp_path / "generator.safetensors"
    files.save_tensors(path, tensors, described | header)
    with pytest.raises(BadFile, match=message):
        artifacts.load(path)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"mean": None}, "a float32 mean of 3 channels"),
        ({"std": torch.ones(1)}, "a float32 std of 3 channels"),
        ({"std": torch.ones(3)}, "in the pixel space"),
        ({"mean": SPACE.mean.flatten().double()}, "a float32 mean of 3 channels"),
        ({"images": torch.zeros(1)}, "weights are not those"),
        ({"weights.layers.0.bias": None}, "weights are not those"),
        ({"weights.layers.0.bias": torch.full((64,), torch.inf)}, "NaN or infinity"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    tensors: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    good, described = stored()
    path = tmp_path / "generator.safetensors"
    kept = {name: value for name, value in (good | tensors).items() if value is not None}
    files.save_tensors(path, kept, described)
    with pytest.raises(BadFile, match=message):
        artifacts.load(path)


@OWN_FOLDER
@given(st.data())
def test_a_changed_byte_is_noticed_unless_it_changes_nothing(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "generator.safetensors"
    if not path.exists():
        artifacts.save(make(), path)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    changed = tmp_path / "changed.safetensors"
    changed.write_bytes(content)
    try:
        loaded = artifacts.load(changed)
    except BadFile:
        return
    assert chr(content[position]).isspace()  # between the values of the JSON header
    assert isinstance(loaded, SyntheticGenerator)


def test_those_who_need_images_are_told_what_to_do_instead(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    artifacts.save(make(), path)
    with pytest.raises(BadFile, match="holds a generator, which draws new images"):
        artifacts.load_set(path)
    with pytest.raises(BadFile, match="holds a generator, which draws new images"):
        read(path, SPEC, preprocessing=SPACE)


# ---------------------------------------------------------------------------- the API


@pytest.mark.usefixtures("registered")
def test_a_generator_is_evaluated_as_a_set_is() -> None:
    train: RealSet = tiny_pair().train
    shape = replace(SHAPE, channels=1)
    source = SyntheticGenerator.of(trained(shape), shape, train.preprocessing, 2)
    recipe = Recipe(epochs=2)
    scores = api.evaluate(source, dataset="tiny", network=NETWORK, seeds=2, recipe=recipe)
    assert len(scores.accuracies) == 2
    with pytest.raises(ContractError, match="SyntheticGenerator brings its labels"):
        api.evaluate(source, torch.zeros(6), dataset="tiny")
    with pytest.raises(ContractError, match="cannot be used"):
        api.evaluate(make(), dataset="tiny", network=NETWORK)


def test_drawing_leaves_global_randomness_alone() -> None:
    before = torch.get_rng_state()
    make().epoch(generator("epochs"))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_weights_are_a_copy() -> None:
    network = trained()
    source = SyntheticGenerator.of(network, SHAPE, SPACE, 1)
    before = source.epoch(generator("e"))[0]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert torch.equal(source.epoch(generator("e"))[0], before)
