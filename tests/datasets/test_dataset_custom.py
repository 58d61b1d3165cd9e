"""Datasets given as ``name=path``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dataset_files import encode, random_pixels, write_image, write_parquet, write_tree, zip_folder

from bench import datasets
from bench.errors import BadFile, InvalidValue, MissingData


def tree(folder: Path, *, channels: int = 3, size: int = 8, count: int = 5) -> np.ndarray:
    """Two classes, cats before dogs; returns all pixels in label order."""
    pixels = random_pixels(2 * count, channels, size, size)
    write_tree(folder, {"dog": pixels[count:], "cat": pixels[:count]})
    return pixels


def test_a_tree_with_parts_keeps_them(root: Path) -> None:
    train_pixels = tree(root / "pets" / "train")
    test_pixels = tree(root / "pets" / "val", count=1)
    pair = datasets.load(f"pets={root / 'pets'}")
    assert pair.spec.name == "pets"
    assert pair.spec.classes == ("cat", "dog")
    assert pair.spec.shape == (3, 8, 8)
    np.testing.assert_array_equal(pair.train.pixels, train_pixels)
    np.testing.assert_array_equal(pair.test.pixels, test_pixels)
    assert pair.train.labels.tolist() == [0] * 5 + [1] * 5


def test_mean_and_std_are_those_of_the_training_part(root: Path) -> None:
    pixels = tree(root / "pets" / "train", channels=1) / 255
    tree(root / "pets" / "test", channels=1, count=2)
    spec = datasets.describe(f"pets={root / 'pets'}")
    assert spec.mean == pytest.approx([pixels.mean()], abs=5.1e-5)
    assert spec.std == pytest.approx([pixels.std()], abs=5.1e-5)


@pytest.mark.parametrize("packed", [False, True])
def test_a_tree_without_parts_gives_one_in_five_to_the_test(root: Path, packed: bool) -> None:
    pixels = tree(root / "cat-dog", count=10)
    place = root / "cat-dog"
    if packed:
        tree(root / "zipped" / "train", count=10)
        place = root / "flat.zip"
        zip_folder(root / "cat-dog" / "cat", place)
        import zipfile

        with zipfile.ZipFile(place, "a") as archive:
            for path in sorted((root / "cat-dog" / "dog").iterdir()):
                archive.write(path, f"dog/{path.name}")
    pair = datasets.load(f"pets={place}")
    assert (len(pair.train), len(pair.test)) == (16, 4)
    assert pair.test.labels.tolist() == [0, 0, 1, 1]
    joined = np.concatenate([pair.train.pixels, pair.test.pixels])
    assert sorted(map(bytes, joined)) == sorted(map(bytes, pixels))


def test_parquet_shards_are_joined_in_order(root: Path) -> None:
    pixels = random_pixels(6, 3, 8, 8)
    encoded = [encode(image) for image in pixels]
    names = {"huggingface": {"info": {"features": {"label": {"names": ["cat", "dog"]}}}}}
    for shard in range(2):
        rows = slice(2 * shard, 2 * shard + 2)
        path = root / "pets" / "data" / f"train-0000{shard}-of-00002.parquet"
        write_parquet(path, encoded[rows], [0, 1], metadata=names)
    write_parquet(root / "pets" / "data" / "validation-0.parquet", encoded[4:], [1, 0])
    pair = datasets.load(f"pets={root / 'pets'}")
    assert pair.spec.classes == ("cat", "dog")
    np.testing.assert_array_equal(pair.train.pixels, pixels[:4])
    assert pair.test.labels.tolist() == [1, 0]


def test_one_parquet_file_is_split_and_its_classes_numbered(root: Path) -> None:
    encoded = [encode(image) for image in random_pixels(10, 1, 8, 8)]
    path = write_parquet(root / "all.parquet", encoded, [0, 1] * 5, columns=("img", "fine_label"))
    pair = datasets.load(f"grey={path}")
    assert pair.spec.classes == ("0", "1")
    assert pair.spec.channels == 1
    assert (len(pair.train), len(pair.test)) == (8, 2)


def test_one_colour_image_makes_a_colour_dataset(root: Path) -> None:
    tree(root / "pets", channels=1)
    write_image(root / "pets" / "cat" / "colour.png", random_pixels(3, 8, 8))
    assert datasets.describe(f"pets={root / 'pets'}").channels == 3


def test_images_of_unequal_size_need_a_size(root: Path) -> None:
    tree(root / "pets")
    write_image(root / "pets" / "cat" / "wide.png", random_pixels(3, 8, 20))
    name = f"pets={root / 'pets'}"
    with pytest.raises(InvalidValue, match=r"8×8, 20×8.*@32"):
        datasets.describe(name)
    assert datasets.describe(f"{name}@6").shape == (3, 6, 6)


def test_a_wide_image_is_cropped_to_its_centre(root: Path) -> None:
    tree(root / "pets", count=2)
    wide = np.zeros((3, 8, 16), np.uint8)
    wide[:, :, 4:12] = 200
    write_image(root / "pets" / "cat" / "000.png", wide)
    write_image(root / "pets" / "cat" / "001.png", wide)
    pair = datasets.load(f"pets={root / 'pets'}@8")
    cats = np.concatenate([part.pixels[part.labels == 0] for part in (pair.train, pair.test)])
    assert (cats == 200).all()


def test_two_sizes_of_one_dataset_do_not_meet_in_the_cache(root: Path) -> None:
    tree(root / "pets")
    name = f"pets={root / 'pets'}"
    assert datasets.load(f"{name}@6").spec.size_px == 6
    assert datasets.load(name).spec.size_px == 8
    assert datasets.facts(f"{name}@6").cached
    assert datasets.facts(name).cached


def test_a_described_dataset_is_described_again_without_torch(root: Path) -> None:
    tree(root / "pets")
    name = f"pets={root / 'pets'}"
    spec = datasets.describe(name)
    code = (
        f"import sys; from bench import datasets; spec = datasets.describe({name!r}); "
        f"print(repr(spec)); assert 'torch' not in sys.modules and 'PIL' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == repr(spec)


@pytest.mark.parametrize("text", ["=path", "pets=", "a/b=path", "-x=path", "pets=path@0@"])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises((InvalidValue, MissingData)):
        datasets.describe(text)


def test_a_registered_name_is_taken(root: Path) -> None:
    with pytest.raises(InvalidValue, match="choose another name"):
        datasets.describe(f"digits={root}")


def test_nothing_there_is_missing_data(root: Path) -> None:
    with pytest.raises(MissingData, match="does not exist"):
        datasets.load(f"pets={root / 'nowhere'}")
    with pytest.raises(MissingData, match="neither parquet files nor images"):
        datasets.load(f"pets={root}")


def test_a_single_class_is_no_dataset(root: Path) -> None:
    write_tree(root / "pets", {"cat": random_pixels(3, 3, 8, 8)})
    with pytest.raises(BadFile, match="two or more class folders"):
        datasets.describe(f"pets={root / 'pets'}")


def test_loose_images_are_no_dataset(root: Path) -> None:
    tree(root / "pets")
    write_image(root / "pets" / "loose.png", random_pixels(3, 8, 8))
    with pytest.raises(BadFile, match="two or more class folders"):
        datasets.describe(f"pets={root / 'pets'}")


def test_a_class_known_to_the_test_part_alone_is_named(root: Path) -> None:
    tree(root / "pets" / "train")
    tree(root / "pets" / "test")
    write_image(root / "pets" / "test" / "horse" / "0.png", random_pixels(3, 8, 8))
    with pytest.raises(BadFile, match="class 'horse'"):
        datasets.describe(f"pets={root / 'pets'}")


def test_a_constant_training_part_is_refused(root: Path) -> None:
    grey = np.full((4, 1, 8, 8), 7, np.uint8)
    write_tree(root / "pets", {"cat": grey, "dog": grey})
    with pytest.raises(BadFile, match="all alike"):
        datasets.describe(f"pets={root / 'pets'}")
