"""The datasets of the field, as data: what they are, where they come from, how they are read.

Means and standard deviations are the field's (VICO-UoE/DatasetCondensation, ``utils.py``), of
training pixels in [0, 1]. Many trajectory-matching releases use CIFAR-10's for CIFAR-100 as well;
here CIFAR-100 keeps its own. Those of ``digits`` are computed from its training part.
"""

from __future__ import annotations

from functools import partial

from bench.datasets import download, wordnet
from bench.datasets.dataset import Dataset
from bench.datasets.readers.cifar import Cifar
from bench.datasets.readers.digits import Digits
from bench.datasets.readers.imagenet import ImageNet64, TinyImageNet
from bench.datasets.readers.parquet import Parquet
from bench.datasets.readers.torchvision_sets import Mnist, Svhn
from bench.specs import DatasetSpec

TEN_DIGITS = tuple("0123456789")

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
CIFAR100_CLASSES = tuple(_CIFAR100.split())

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2023, 0.1994, 0.2010)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

CIFAR_LICENCE = "none stated; free for research with citation"

DIGITS = Dataset(
    spec=DatasetSpec(
        name="digits",
        classes=TEN_DIGITS,
        channels=1,
        size_px=8,
        mean=(0.3058,),
        std=(0.3762,),
        mirror=False,
    ),
    reader=Digits(),
    title="Digits",
    source="scikit-learn's load_digits: the test part of UCI's Optical Recognition of Handwritten "
    "Digits (Alpaydin and Kaynak, 1998)",
    licence="CC BY 4.0",
    train_count=1_347,
    test_count=450,
    checksum="cc7958b36109d19e8e8ff30819e4ddb6f8ceac4882d398215f9bcc0769ec297d",
)

MNIST = Dataset(
    spec=DatasetSpec(
        name="mnist",
        classes=TEN_DIGITS,
        channels=1,
        size_px=28,
        mean=(0.1307,),
        std=(0.3081,),
        mirror=False,
    ),
    reader=Mnist("MNIST"),
    title="MNIST",
    source="LeCun, Cortes and Burges: yann.lecun.com/exdb/mnist",
    licence="CC BY-SA 3.0",
    train_count=60_000,
    test_count=10_000,
    fetch=partial(download.fetch_mnist, "MNIST"),
)

FASHION_MNIST = Dataset(
    spec=DatasetSpec(
        name="fashion-mnist",
        classes=FASHION_CLASSES,
        channels=1,
        size_px=28,
        mean=(0.2861,),
        std=(0.3530,),
    ),
    reader=Mnist("FashionMNIST"),
    title="Fashion-MNIST",
    source="Zalando Research, arXiv:1708.07747",
    licence="MIT",
    train_count=60_000,
    test_count=10_000,
    fetch=partial(download.fetch_mnist, "FashionMNIST"),
    checksum="ab25af01e878ed3a8794f3d0226997a0b1f88e9068f62abab2bfe8f9a018a674",
)

SVHN = Dataset(
    spec=DatasetSpec(
        name="svhn",
        classes=TEN_DIGITS,
        channels=3,
        size_px=32,
        mean=(0.4377, 0.4438, 0.4728),
        std=(0.1980, 0.2010, 0.1970),
        mirror=False,
    ),
    reader=Svhn(),
    title="SVHN",
    source="Netzer et al. 2011, cropped digits: ufldl.stanford.edu/housenumbers",
    licence="non-commercial use",
    train_count=73_257,
    test_count=26_032,
    fetch=download.fetch_svhn,
)

CIFAR10 = Dataset(
    spec=DatasetSpec(
        name="cifar10",
        classes=CIFAR10_CLASSES,
        channels=3,
        size_px=32,
        mean=CIFAR10_MEAN,
        std=CIFAR10_STD,
    ),
    reader=Cifar(
        layout="cifar-10-batches-py",
        train=(
            ("data_batch_1", "c99cafc152244af753f735de768cd75f"),
            ("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
            ("data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
            ("data_batch_4", "634d18415352ddfa80567beed471001a"),
            ("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
        ),
        test=(("test_batch", "40351d587109b95175f43aff81a1287e"),),
        labels="labels",
    ),
    title="CIFAR-10",
    source="Krizhevsky 2009: cs.toronto.edu/~kriz/cifar.html",
    licence=CIFAR_LICENCE,
    train_count=50_000,
    test_count=10_000,
    fetch=partial(download.fetch_cifar, "CIFAR10"),
)

CIFAR100 = Dataset(
    spec=DatasetSpec(
        name="cifar100",
        classes=CIFAR100_CLASSES,
        channels=3,
        size_px=32,
        mean=(0.5071, 0.4866, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
    ),
    reader=Cifar(
        layout="cifar-100-python",
        train=(("train", "16019d7e3df5f24257cddd939b257f8d"),),
        test=(("test", "f0ef6b0ae62326f3e7ffdfab6717acfc"),),
        labels="fine_labels",
    ),
    title="CIFAR-100",
    source="Krizhevsky 2009: cs.toronto.edu/~kriz/cifar.html",
    licence=CIFAR_LICENCE,
    train_count=50_000,
    test_count=10_000,
    fetch=partial(download.fetch_cifar, "CIFAR100"),
)

CIFAR10_JPEG75 = Dataset(
    spec=DatasetSpec(
        name="cifar10-jpeg75",
        classes=CIFAR10_CLASSES,
        channels=3,
        size_px=32,
        mean=CIFAR10_MEAN,
        std=CIFAR10_STD,
    ),
    reader=Parquet("cifar10-jpeg75"),
    title="CIFAR-10 as JPEG",
    source="all of CIFAR-10 in the original order, JPEG of quality 75 (4:2:0, about 30.6 dB)",
    licence=CIFAR_LICENCE,
    train_count=50_000,
    test_count=10_000,
    by_hand="It has no public download: write CIFAR-10 as JPEG of quality 75 to train.parquet and "
    "test.parquet in the Hugging Face layout, in",
    checksum="c75dfddbc4576a98ea05dbaa69745298410a3e1811cb41878f7fc4c8a4e9b372",
)

CIFAR10_LOSSLESS_6K = Dataset(
    spec=DatasetSpec(
        name="cifar10-lossless-6k",
        classes=CIFAR10_CLASSES,
        channels=3,
        size_px=32,
        mean=CIFAR10_MEAN,
        std=CIFAR10_STD,
    ),
    reader=Parquet("cifar10-lossless-6k"),
    title="CIFAR-10, lossless subset",
    source="the first 1,017 images of each batch file of CIFAR-10, PNG",
    licence=CIFAR_LICENCE,
    train_count=5_085,
    test_count=1_017,
    by_hand="It has no public download: write the first 1,017 images of each CIFAR-10 batch file "
    "as PNG to train.parquet and test.parquet in the Hugging Face layout, in",
    checksum="016783509e56a0daf869636ba3c8b1a322adbfd9b370946022307ea3095220fa",
)

TINY_IMAGENET = Dataset(
    spec=DatasetSpec(
        name="tiny-imagenet",
        classes=wordnet.TINY_IMAGENET,
        channels=3,
        size_px=64,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    reader=TinyImageNet(),
    title="Tiny ImageNet",
    source="Stanford CS231n; the validation part, whose labels are public, is the test part",
    licence="ImageNet's terms: non-commercial research",
    train_count=100_000,
    test_count=10_000,
    fetch=download.fetch_tiny_imagenet,
)

IMAGENET_1K_64 = Dataset(
    spec=DatasetSpec(
        name="imagenet-1k-64",
        classes=wordnet.IMAGENET_1K,
        channels=3,
        size_px=64,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    reader=ImageNet64(batch_order=wordnet.ILSVRC2012_ORDER),
    title="ImageNet-1K at 64×64",
    source="Chrabaszcz et al., arXiv:1707.08819; the validation part is the test part",
    licence="ImageNet's terms: non-commercial research",
    train_count=1_281_167,
    test_count=50_000,
    by_hand="It has no free download: register at image-net.org and unzip the 64×64 version for "
    "Python (npz) into",
)
