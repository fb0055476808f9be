"""How large each part's work is: "full" for a GPU, "tiny" to try it on a CPU."""

from typing import NamedTuple

from scripts import bench_convolution, bench_evaluate, bench_meta, bench_scaling


class Device(NamedTuple):
    """Floats that are copied, and the side of the matrices that are multiplied."""

    numbers: int
    side: int


class Meta(NamedTuple):
    """A case, and who runs it: (precision, side, contestant), in that order.

    jiaa's contestants are `map` (one user at a time) and `vmap N` (N at a time);
    PyTorch's are the modes of `bench_meta`.
    """

    case: bench_meta.Case
    contestants: tuple[tuple[str, str, str], ...]


class Epochs(NamedTuple):
    """A slice of a training, and the training that it stands for."""

    case: bench_meta.Case
    contestants: tuple[tuple[str, str, str], ...]
    users: int
    epochs: int


class Evaluation(NamedTuple):
    """Heads on features, whole; the whole network, a slice of `users` and `splits`."""

    frozen: bench_evaluate.Case
    whole: bench_evaluate.Case
    shots: int
    users: int
    splits: int


class Kinds(NamedTuple):
    """Layers by name, in the order of their importance, and what they compute in."""

    layers: dict[str, bench_convolution.Layer]
    precisions: tuple[str, ...]


class Encoding(NamedTuple):
    """Images of `pixels` a side (None: the backbone's own) in batches.

    The first of `backbones` that both sides have; `compiled`: by PyTorch as well.
    """

    backbones: tuple[str, ...]
    pixels: int | None
    images: int
    batch: int
    precisions: tuple[str, ...]
    compiled: bool


class Crops(NamedTuple):
    """Batches of random crops from a store that lies on the device."""

    stored: int
    shown: int
    images: int
    batch: int


HALF, SINGLE = "bfloat16", "float32"
PAPER = bench_meta.Case("resnet18", 224, 8, 80, 20, 5)
SMALL = bench_meta.Case("squeezenet", 48, 2, 2, 2, 1)
Layer = bench_convolution.Layer
Point = bench_scaling.Point
DEPTHWISE_3, DEPTHWISE_5 = (144, 144, 3, 1, 1), (720, 720, 5, 1, 2)
FROZEN = bench_evaluate.CASES["frozen_linear"]
WHOLE = bench_evaluate.CASES["whole_224"]

SIZES = {
    "device": {"full": Device(2**28, 8192), "tiny": Device(2**14, 64)},
    "meta": {
        "full": Meta(
            PAPER,
            (
                (HALF, "torch", "eager"),
                (HALF, "jiaa", "map"),
                (SINGLE, "torch", "eager"),
                (SINGLE, "jiaa", "map"),
                (HALF, "jiaa", "vmap 4"),
                (HALF, "torch", "compile"),
                (HALF, "torch", "vmap"),
            ),
        ),
        "tiny": Meta(
            SMALL,
            (
                (HALF, "torch", "eager"),
                (HALF, "jiaa", "map"),
            ),
        ),
    },
    "epochs": {
        "full": Epochs(
            bench_meta.Case("resnet18", 256, 2, 88, 22, 5),
            (
                (HALF, "torch", "eager"),
                (HALF, "jiaa", "map"),
                (SINGLE, "torch", "eager"),
            ),
            users=165,
            epochs=50,
        ),
        "tiny": Epochs(
            SMALL,
            ((HALF, "torch", "eager"), (HALF, "jiaa", "map")),
            users=165,
            epochs=50,
        ),
    },
    "evaluation": {
        "full": Evaluation(
            FROZEN, WHOLE._replace(users=2, splits=4), shots=100, users=37, splits=50
        ),
        "tiny": Evaluation(
            FROZEN._replace(users=2, splits=2, width=4, steps=2, ratings=8),
            bench_evaluate.Case(
                size=48,
                width=0,
                users=1,
                splits=1,
                hidden=0,
                steps=1,
                backbone="squeezenet",
                ratings=6,
            ),
            shots=3,
            users=37,
            splits=50,
        ),
    },
    "kinds": {
        "full": Kinds(
            {
                "4 users, 56 px, 64": Layer(80, 56, 64, 64, 3, 1, 1, users=4),
                "4 users, 14 px, 256": Layer(80, 14, 256, 256, 3, 1, 1, users=4),
                "4 users, 7 px, 512": Layer(80, 7, 512, 512, 3, 1, 1, users=4),
                "4 users, 28 px, 128": Layer(80, 28, 128, 128, 3, 1, 1, users=4),
                "56 px, 64": Layer(80, 56, 64, 64, 3, 1, 1),
                "14 px, 256": Layer(80, 14, 256, 256, 3, 1, 1),
                "7 px, 512": Layer(80, 7, 512, 512, 3, 1, 1),
                "4 users, 224 px, 3, stride 2": Layer(80, 224, 3, 64, 7, 2, 3, users=4),
                "depthwise, 65 px, 144": Layer(256, 65, *DEPTHWISE_3, depthwise=True),
                "depthwise, 17 px, 720": Layer(256, 17, *DEPTHWISE_5, depthwise=True),
            },
            (HALF, SINGLE),
        ),
        "tiny": Kinds(
            {
                "2 users, 6 px": Layer(2, 6, 4, 4, 3, 1, 1, users=2),
                "depthwise, 6 px": Layer(2, 6, 4, 4, 3, 1, 1, depthwise=True),
            },
            (HALF,),
        ),
    },
    "rules": {
        "full": (
            Point("H2", users=8, steps=5, size=64, width=0, rated=100),
            Point("N2", users=8, steps=1, size=64, width=8, rated=40),
            Point("N3", users=8, steps=1, size=64, width=64, rated=40),
            Point("H5", users=8, steps=5, size=4096, width=0, rated=100),
            Point("N1", users=8, steps=1, size=32, width=4, rated=20),
        ),
        "tiny": (Point("H1", users=2, steps=1, size=8, width=0, rated=4),),
    },
    "encoding": {
        "full": Encoding(
            ("efficientnet_lite2", "resnet18"),
            pixels=None,
            images=2048,
            batch=256,
            precisions=(HALF, "float16"),
            compiled=True,
        ),
        "tiny": Encoding(("squeezenet",), 48, 3, 2, (HALF,), compiled=False),
    },
    "crops": {
        "full": Crops(stored=256, shown=224, images=4096, batch=256),
        "tiny": Crops(stored=12, shown=8, images=4, batch=4),
    },
}
SIZES["meta_more"] = {
    "full": Meta(
        PAPER,
        (
            (SINGLE, "torch", "eager"),
            (SINGLE, "jiaa", "vmap 4"),
            (SINGLE, "torch", "compile"),
            (SINGLE, "torch", "vmap"),
        ),
    ),
    "tiny": Meta(
        SMALL,
        (
            (SINGLE, "torch", "eager"),
            (SINGLE, "jiaa", "vmap 2"),
            (SINGLE, "torch", "vmap"),
        ),
    ),
}
