"""Every format of the field is read as its project writes it, and what does not fit is refused."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from bench import artifacts, files
from bench.data import SyntheticSet
from bench.errors import BadFile, InvalidValue
from bench.exchange import Imported, read
from bench.preprocessing import Preprocessing
from bench.specs import Budget, DatasetSpec

ImportSet = Callable[..., Imported]


def png(pixels: Tensor) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(stream, format="PNG")
    return stream.getvalue()


def class_folders(root: Path, names: list[str], pixels: Tensor, file: str = "{}.png") -> Path:
    """Two pictures a class, in the order of ``names``."""
    for row, picture in enumerate(pixels):
        folder = root / names[row // 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.format(row)).write_bytes(png(picture))
    return root


# ---- torch.save: MTT, TESLA, FTD, DATM


def write_trajectory(folder: Path, it: str, images: Tensor, labels: Tensor, rate: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(images.clone().requires_grad_(), folder / f"images_{it}.pt")
    torch.save(labels, folder / f"labels_{it}.pt")
    if rate is not None:
        torch.save(rate, folder / f"lr_{it}.pt")


@pytest.mark.parametrize("given", ["folder", "images_best.pt"])
def test_mtts_folder_and_its_images_give_the_same_set(
    given: str, images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    write_trajectory(tmp_path, "best", images, labels, torch.tensor(0.02))
    write_trajectory(tmp_path, "5000", images + 1, labels, torch.tensor(0.03))
    imported = import_set(tmp_path if given == "folder" else tmp_path / given)
    synthetic = imported.synthetic
    assert torch.equal(synthetic.images, images)
    assert torch.equal(synthetic.labels, labels)
    assert synthetic.learning_rate == pytest.approx(0.02)
    assert not synthetic.images.requires_grad
    assert "images_best.pt, labels_best.pt, lr_best.pt" in imported.notes[0]


def test_without_a_best_the_latest_iteration_is_taken(
    images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    for it in ("900", "1000"):
        write_trajectory(tmp_path, it, images * (1 + int(it) / 1e6), labels, None)
    imported = import_set(tmp_path)
    assert torch.equal(imported.synthetic.images, images * (1 + 1000 / 1e6))
    assert imported.synthetic.learning_rate is None


@pytest.mark.parametrize("rate", [0.02, torch.tensor(0.02), torch.tensor([0.02])])
def test_a_learning_rate_may_be_a_number_or_a_tensor_and_stand_alone(
    rate: Any, images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    write_trajectory(tmp_path, "best", images, labels, None)
    torch.save(rate, tmp_path / "lr.pt")
    assert import_set(tmp_path).synthetic.learning_rate == pytest.approx(0.02)


@pytest.mark.parametrize("rate", [-0.1, float("nan"), torch.zeros(2), "fast", torch.tensor(0.0)])
def test_a_learning_rate_that_is_no_positive_number_is_refused(
    rate: Any, images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    write_trajectory(tmp_path, "best", images, labels, rate)
    with pytest.raises(BadFile, match="learning rate that is no positive number"):
        import_set(tmp_path)


def test_datms_logits_come_from_the_folder_normal(
    images: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    logits = torch.randn(6, 3).mul(5).requires_grad_()
    write_trajectory(tmp_path / "Normal", "best", images, logits, torch.tensor(0.02))
    synthetic = import_set(tmp_path).synthetic
    assert torch.equal(synthetic.labels, logits)
    assert synthetic.label_kind == "soft"


def test_ftds_two_variants_are_not_chosen_between(
    images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    for variant in ("Normal", "ema"):
        write_trajectory(tmp_path / variant, "best", images, labels, None)
    with pytest.raises(BadFile, match=r"several variants of a set \(Normal, ema; FTD delivers ema"):
        import_set(tmp_path)
    assert torch.equal(import_set(tmp_path / "ema").synthetic.images, images)


def test_zca_previews_mark_the_run_as_whitened(
    images: Tensor, labels: Tensor, pixels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    write_trajectory(tmp_path, "500", images, labels, None)
    torch.save(pixels / 255, tmp_path / "images_zca_500.pt")
    with pytest.raises(BadFile, match="the folder or its files say that the images are ZCA"):
        import_set(tmp_path)
    preview = import_set(tmp_path / "images_zca_500.pt")
    assert "not what the students saw" in " ".join(preview.notes)
    assert torch.equal(preview.synthetic.labels, labels)


# ---- torch.save: DC, DSA, DM, dictionaries, tensors


def write_results(path: Path, sets: list[tuple[Tensor, Tensor]]) -> Path:
    accuracies = {"ConvNet": [np.float64(0.3), np.array([0.1, 0.2])]}
    torch.save({"data": [list(pair) for pair in sets], "accs_all_exps": accuracies}, path)
    return path


def test_dcs_results_give_their_last_set_or_the_one_asked_for(
    images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    sets = [(images * scale, labels) for scale in (1.0, 1.1, 1.2)]
    path = write_results(tmp_path / "res_DC_CIFAR10_ConvNet_1ipc.pt", sets)
    last = import_set(path)
    assert torch.equal(last.synthetic.images, sets[2][0])
    assert "3 sets; number 2, counted from 0" in " ".join(last.notes)
    assert torch.equal(import_set(path, index=0).synthetic.images, images)
    with pytest.raises(InvalidValue, match=r"index 3 must lie in \[0, 3\)"):
        import_set(path, index=3)


def test_dcs_noise_is_not_suspected_of_whitening(
    labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    noise = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    path = write_results(tmp_path / "res_DC.pt", [(noise, labels)])
    assert torch.equal(import_set(path).synthetic.images, noise)


def test_an_index_into_a_single_set_is_refused(
    images: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    torch.save(images, tmp_path / "set.pt")
    with pytest.raises(InvalidValue, match="holds one set; leave the index 2 out"):
        import_set(tmp_path / "set.pt", index=2)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("content", ["dictionary", "pair", "tensor"])
def test_plain_torch_files_are_read(
    content: str,
    legacy: bool,
    images: Tensor,
    labels: Tensor,
    import_set: ImportSet,
    tmp_path: Path,
) -> None:
    contents = {
        "dictionary": {"images": images, "labels": labels, "syn_lr": torch.tensor(0.5)},
        "pair": (images, labels),
        "tensor": images,
    }
    path = tmp_path / "set.pth"
    torch.save(contents[content], path, _use_new_zipfile_serialization=not legacy)
    imported = import_set(path)
    assert torch.equal(imported.synthetic.images, images)
    assert torch.equal(imported.synthetic.labels, labels)
    assert imported.synthetic.learning_rate == (0.5 if content == "dictionary" else None)
    implied = "rows were taken as sorted by class, 2 each" in " ".join(imported.notes)
    assert implied == (content == "tensor")


def test_network_weights_are_no_synthetic_set(import_set: ImportSet, tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "generator.pt")
    with pytest.raises(BadFile, match=r"holds bias, weight, but no 'images'.*no synthetic set"):
        import_set(tmp_path / "generator.pt")


# ---- numpy and safetensors


@pytest.mark.parametrize("compressed", [False, True])
def test_numpy_archives_are_read_channels_last_and_in_any_byte_order(
    compressed: bool, images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    save = np.savez_compressed if compressed else np.savez
    channels_last = np.asfortranarray(images.permute(0, 2, 3, 1).numpy()).astype(">f8")
    save(
        tmp_path / "set.npz", images=channels_last, labels=labels.numpy().astype("<u2"), note=["x"]
    )
    imported = import_set(tmp_path / "set.npz")
    assert torch.equal(imported.synthetic.images, images)
    assert torch.equal(imported.synthetic.labels, labels)
    assert "Channels were last and were moved." in imported.notes


def test_a_single_numpy_array_holds_images(
    images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    np.save(tmp_path / "set.npy", images.numpy())
    assert torch.equal(import_set(tmp_path / "set.npy").synthetic.labels, labels)


def test_foreign_safetensors_are_read(
    images: Tensor, labels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    tensors = {"images": images.half(), "labels": labels.int(), "lr": torch.tensor(0.5)}
    save_file(tensors, tmp_path / "set.safetensors")
    imported = import_set(tmp_path / "set.safetensors").synthetic
    assert torch.equal(imported.images, images.half().float())
    assert imported.labels.dtype == torch.int64
    assert imported.learning_rate == 0.5


def test_safetensors_without_images_are_refused(import_set: ImportSet, tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "set.safetensors")
    with pytest.raises(BadFile, match="holds weight, but no 'images'"):
        import_set(tmp_path / "set.safetensors")


# ---- pictures


@pytest.mark.parametrize(
    ("names", "order", "rule"),
    [
        (["zebra", "ant", "mole"], [0, 1, 2], "matched to the classes by name"),
        (["new000", "new001", "new002"], [0, 1, 2], "number in each folder's name"),
        (["2", "0", "1"], [2, 0, 1], "number in each folder's name"),
        (["n02", "n01", "n11"], [1, 0, 2], "alphabetical order.*'n01' is 'zebra'"),
        (["cow", "bee", "dog"], [1, 0, 2], "alphabetical order"),
    ],
)
def test_class_folders_get_their_labels_by_a_stated_rule(
    names: list[str],
    order: list[int],
    rule: str,
    pixels: Tensor,
    normalise: Preprocessing,
    import_set: ImportSet,
    tmp_path: Path,
) -> None:
    imported = import_set(class_folders(tmp_path / "set", names, pixels))
    label_of_row = torch.tensor(order).repeat_interleave(2)
    positions = torch.argsort(label_of_row, stable=True)
    assert torch.equal(imported.synthetic.labels, torch.tensor([0, 0, 1, 1, 2, 2]))
    assert torch.equal(imported.synthetic.images, normalise.forward(pixels[positions]))
    assert re.search(rule, " ".join(imported.notes))


def test_folders_whose_order_is_unclear_are_refused(
    pixels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    root = class_folders(tmp_path / "set", ["1", "2", "10"], pixels)
    with pytest.raises(BadFile, match=r"order is unclear.*Name them 0 to 2"):
        import_set(root)


def test_jpegs_are_decoded(
    pixels: Tensor, normalise: Preprocessing, import_set: ImportSet, tmp_path: Path
) -> None:
    for row, picture in enumerate(pixels):
        folder = tmp_path / f"new{row // 2:03d}"
        folder.mkdir(exist_ok=True)
        array = picture.permute(1, 2, 0).numpy()
        Image.fromarray(array).save(folder / f"class{row // 2:03d}_id{row:03d}.jpg", quality=95)
    images = import_set(tmp_path).synthetic.images
    assert (images - normalise.forward(pixels)).abs().mean() < 0.1


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Image.new("RGB", (17, 16)), "17×16 pixels; toy has 16×16. Nothing is resized"),
        (Image.new("RGBA", (16, 16)), "has mode RGBA; give 8-bit grey or RGB"),
        (Image.new("I;16", (16, 16)), "has mode I;16"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(
    picture: Image.Image, message: str, pixels: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    root = class_folders(tmp_path / "set", ["0", "1", "2"], pixels)
    picture.save(root / "1" / "0.png")
    with pytest.raises(BadFile, match=message):
        import_set(root)


def test_grey_datasets_take_grey_pictures_and_refuse_coloured_ones(tmp_path: Path) -> None:
    grey = DatasetSpec(
        name="grey", classes=("a", "b"), channels=1, size_px=16, mean=(0.5,), std=(0.25,)
    )
    picture = torch.arange(256).byte().view(1, 16, 16).expand(3, 16, 16)
    for name in grey.classes:
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "0.png").write_bytes(png(picture))
    preprocessing = Preprocessing.normalize(grey)
    images = read(tmp_path / "set", grey, preprocessing=preprocessing).synthetic.images
    assert torch.equal(images, preprocessing.forward(picture[None, :1].repeat(2, 1, 1, 1)))
    coloured = picture.clone()
    coloured[0] = 0
    (tmp_path / "set" / "a" / "0.png").write_bytes(png(coloured))
    with pytest.raises(BadFile, match="is in colour; grey is grey"):
        read(tmp_path / "set", grey, preprocessing=preprocessing)


@pytest.mark.parametrize(("image_column", "label_column"), [("image", "label"), ("img", "labels")])
def test_hugging_face_parquet_is_read(
    image_column: str,
    label_column: str,
    pixels: Tensor,
    labels: Tensor,
    normalise: Preprocessing,
    import_set: ImportSet,
    tmp_path: Path,
) -> None:
    cells = [{"bytes": png(picture), "path": None} for picture in pixels]
    table = pa.table({image_column: cells, label_column: labels.numpy()})
    pq.write_table(table, tmp_path / "set.parquet")
    imported = import_set(tmp_path / "set.parquet").synthetic
    assert torch.equal(imported.images, normalise.forward(pixels))
    assert torch.equal(imported.labels, labels)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [b"x"]}, "has the columns image; expected an image column"),
        ({"image": [b"x"], "label": ["cat"]}, "'label' that holds no class indices"),
        ({"image": [b"x"], "label": [0]}, "row 0 is no readable PNG or JPEG"),
        ({"image": [{"bytes": None, "path": "/etc/passwd"}], "label": [0]}, "not in the file"),
        ({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}, "no rows"),
    ],
)
def test_parquet_that_does_not_fit_is_refused(
    columns: dict[str, Any], message: str, import_set: ImportSet, tmp_path: Path
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "set.parquet")
    with pytest.raises(BadFile, match=message):
        import_set(tmp_path / "set.parquet")


# ---- labels


@pytest.fixture
def import_labels(images: Tensor, import_set: ImportSet, tmp_path: Path) -> ImportSet:
    def import_labels(labels: Tensor, **options: Any) -> Imported:
        torch.save((images, labels), tmp_path / "set.pt")
        return import_set(tmp_path / "set.pt", **options)

    return import_labels


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_probabilities_become_logits_with_the_same_softmax(
    dtype: torch.dtype, import_labels: ImportSet
) -> None:
    probabilities = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).softmax(1)
    imported = import_labels(probabilities.to(dtype))
    torch.testing.assert_close(
        imported.synthetic.labels.softmax(1), probabilities, rtol=1e-2, atol=1e-3
    )
    assert "Labels are probabilities; their logarithms were taken as logits." in imported.notes


def test_a_probability_of_zero_stays_finite(import_labels: ImportSet) -> None:
    probabilities = torch.tensor([[0.0, 0.25, 0.75]]).repeat(6, 1)
    logits = import_labels(probabilities).synthetic.labels
    torch.testing.assert_close(logits.softmax(1), probabilities)


def test_logits_are_kept_bit_for_bit(import_labels: ImportSet) -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(import_labels(logits).synthetic.labels, logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_one_hot_labels_are_class_indices(
    dtype: torch.dtype, labels: Tensor, import_labels: ImportSet
) -> None:
    imported = import_labels(torch.eye(3, dtype=dtype)[labels])
    assert torch.equal(imported.synthetic.labels, labels)
    assert "One-hot labels were taken as class indices." in imported.notes


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32])
def test_class_indices_of_any_type_are_read(
    dtype: torch.dtype, labels: Tensor, import_labels: ImportSet
) -> None:
    assert torch.equal(import_labels(labels.to(dtype)[:, None]).synthetic.labels, labels)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.tensor([0, 0, 1, 1, 2, 3]), "labels from 0 to 3; toy has the labels 0 to 2"),
        (torch.tensor([-1, 0, 1, 1, 2, 2]), "labels from -1 to 2"),
        (torch.tensor([0, 0.5, 1, 1, 2, 2]), "fractional class indices"),
        (torch.full((6, 3), float("nan")), "labels that are NaN or infinite"),
        (torch.zeros(5, dtype=torch.int64), r"6 images but labels of shape \(5,\)"),
        (torch.zeros(6, 4), r"expected \(6,\) class indices or \(6, 3\) logits"),
        (torch.zeros(6, 3, 1), "labels of shape"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    wrong: Tensor, message: str, import_labels: ImportSet
) -> None:
    with pytest.raises(BadFile, match=message):
        import_labels(wrong)


def test_unequal_classes_are_noted(import_labels: ImportSet) -> None:
    imported = import_labels(torch.tensor([0, 0, 0, 1, 2, 2]))
    assert "Classes have from 1 to 3 images each." in imported.notes


# ---- counts, shapes, budgets


def test_the_budget_follows_from_the_count(
    images: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    torch.save(images, tmp_path / "set.pt")
    header = import_set(tmp_path / "set.pt").synthetic.header
    assert header is not None
    assert header.budget == Budget("ipc", 2)


@pytest.mark.parametrize(
    ("count", "budget", "message"),
    [
        (5, None, "5 images, which is no multiple of the 3 classes"),
        (0, None, "holds no images"),
        (6, Budget("ipc", 1), "6 images; toy at ipc 1 has 3 × 1 = 3"),
        (6, Budget("inpc", 2), "the budget inpc 2 is for generators"),
        (5, Budget("full", 0), "5 images of 3 classes without labels"),
    ],
)
def test_a_count_that_is_not_classes_times_ipc_is_refused(
    count: int,
    budget: Budget | None,
    message: str,
    images: Tensor,
    import_set: ImportSet,
    tmp_path: Path,
) -> None:
    torch.save(images[:count], tmp_path / "set.pt")
    with pytest.raises(BadFile, match=message):
        import_set(tmp_path / "set.pt", budget=budget)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(6, 3, 8, 8), r"shape \(6, 3, 8, 8\); toy needs \(N, 3, 16, 16\)"),
        (torch.zeros(6, 768), "shape"),
        (torch.zeros(6, 1, 16, 16), "shape"),
        (torch.zeros(()), "shape"),
        (torch.full((6, 3, 16, 16), float("nan")), "NaN or infinity"),
        (torch.full((6, 3, 16, 16), 1e300, dtype=torch.float64), "NaN or infinity"),
        (torch.zeros(6, 3, 16, 16, dtype=torch.complex64), "complex64; give float32"),
        (torch.zeros(6, 3, 16, 16).to_sparse(), "no ordinary dense tensor"),
        (torch.zeros(6, 3, 16, 16, device="meta"), "no ordinary dense tensor"),
    ],
)
def test_images_that_do_not_fit_are_refused(
    images: Tensor, message: str, import_set: ImportSet, tmp_path: Path
) -> None:
    torch.save(images, tmp_path / "set.pt")
    with pytest.raises(BadFile, match=message):
        import_set(tmp_path / "set.pt")


def test_an_imported_set_says_where_it_came_from(
    images: Tensor,
    spec: DatasetSpec,
    normalise: Preprocessing,
    import_set: ImportSet,
    tmp_path: Path,
) -> None:
    torch.save(images, tmp_path / "set.pt")
    header = import_set(tmp_path / "set.pt").synthetic.header
    assert header is not None
    assert (header.dataset, header.classes, header.method) == ("toy", spec.classes, "imported")
    assert header.preprocessing == normalise.header()
    assert header.created == {
        "source": "set.pt",
        "sha256": files.file_digest(tmp_path / "set.pt"),
        "layout": "one tensor of images",
        "space": "model-input",
    }


def test_an_imported_set_can_be_saved(
    images: Tensor, import_set: ImportSet, tmp_path: Path
) -> None:
    torch.save(images, tmp_path / "set.pt")
    imported = import_set(tmp_path / "set.pt").synthetic
    artifacts.save(imported, tmp_path / "set.safetensors")
    assert import_set(tmp_path / "set.safetensors").synthetic.header == imported.header


def test_a_set_of_ours_keeps_its_header_and_bits(
    synthetic: SyntheticSet, import_set: ImportSet, tmp_path: Path
) -> None:
    artifacts.save(synthetic, tmp_path / "set.safetensors")
    imported = import_set(tmp_path / "set.safetensors").synthetic
    assert torch.equal(imported.images, synthetic.images)
    assert (imported.learning_rate, imported.header) == (0.1, synthetic.header)


def test_logits_of_ours_that_look_like_probabilities_stay_logits(
    synthetic: SyntheticSet, import_set: ImportSet, tmp_path: Path
) -> None:
    logits = torch.full((6, 3), 1 / 3)
    artifacts.save(replace(synthetic, labels=logits), tmp_path / "set.safetensors")
    assert torch.equal(import_set(tmp_path / "set.safetensors").synthetic.labels, logits)


def test_a_set_of_another_dataset_is_refused_unless_the_classes_are_the_same(
    synthetic: SyntheticSet, spec: DatasetSpec, import_set: ImportSet, tmp_path: Path
) -> None:
    artifacts.save(synthetic, tmp_path / "set.safetensors")
    twin = import_set(tmp_path / "set.safetensors", spec=replace(spec, name="toy-jpeg"))
    assert "Distilled from toy, whose classes are those of toy-jpeg." in twin.notes
    other = replace(spec, name="other", classes=("zebra", "mole", "ant"))
    with pytest.raises(BadFile, match=r"was distilled from toy .* Evaluate it on toy"):
        import_set(tmp_path / "set.safetensors", spec=other)


@pytest.mark.parametrize(
    ("name", "message"),
    [("set.pkl", "no known ending; give a file ending in"), ("set.pt", "not exist")],
)
def test_what_is_no_file_of_a_known_format_is_refused(
    name: str, message: str, import_set: ImportSet, tmp_path: Path
) -> None:
    with pytest.raises(BadFile, match=message):
        import_set(tmp_path / name)


def test_an_empty_folder_is_refused_with_what_was_expected(
    import_set: ImportSet, tmp_path: Path
) -> None:
    with pytest.raises(BadFile, match=r"holds neither synthetic\.safetensors, nor images_<iter"):
        import_set(tmp_path)
