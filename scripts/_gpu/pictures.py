"""Before the learning: images into features of a frozen trunk, and random crops."""

import functools
from typing import Any, NamedTuple

from scripts import bench_meta
from scripts._gpu.bench import Bench
from scripts._gpu.lines import Line, Lines

TIMES, ROUNDING = 2, 0.01  # how much more jiaa's features may be off than PyTorch's


class Prepared(NamedTuple):
    """Images on the host, and the network of both sides with the same weights.

    Attributes:
      exact: PyTorch's features of the first batch in float32, where there is PyTorch.
    """

    images: Any
    batch: int
    precision: str
    backbone: str
    problem: bench_meta.Problem
    device: str
    exact: Any = None


def encoding(lines: Lines, job: Line, ends: float) -> None:
    """The part "encoding": features of images, on the host and on the device."""
    bench = Bench(lines, job, ends)
    size = bench.size
    backbone = first_known(size.backbones, bench)
    for precision in size.precisions:
        once = functools.partial(prepare, bench, backbone, precision)
        prepared = functools.cache(once)
        errors: dict[str, float] = {}
        for side, where, name, make in CONTESTANTS:
            if name == "compile" and not size.compiled:
                continue
            bench.measure(
                side,
                name,
                lambda make=make, prepared=prepared: make(prepared()),
                group=f"encoding, {backbone}, from the {where}, {precision}",
                work=size.images if where == "host" else size.batch,
                unit="images/s",
                check=functools.partial(compared, prepared, errors, side),
                precision=precision,
                batch=size.batch,
            )


def first_known(names: tuple[str, ...], bench: Bench) -> str:
    """The first backbone that jiaa has, and the benchmark's PyTorch where it runs.

    Raises:
      ValueError: there is none.
    """
    from jiaa.models.backbones import BACKBONES

    known = set(BACKBONES)
    if "torch" in bench.sides:
        from scripts._torch_networks import NETWORKS

        known &= set(NETWORKS)
    for name in names:
        if name in known:
            return name
    raise ValueError(f"none of {names} is a backbone here; known: {sorted(known)}")


def prepare(bench: Bench, backbone: str, precision: str) -> Prepared:
    """Random images and weights."""
    import numpy as np

    from jiaa.models.pretrained import SPECS

    size = bench.size
    pixels = size.pixels or SPECS[backbone].image_size
    case = bench_meta.Case(backbone, pixels, 1, 1, 1, 1)
    options = {"dtype": precision, "with_torch": "torch" in bench.sides}
    problem = bench_meta.make_problem(case, bench.device, **options)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (size.images, pixels, pixels, 3), np.uint8)
    if problem.reference is not None:
        _settle(problem, images[:64], bench.device)
    prepared = Prepared(images, size.batch, precision, backbone, problem, bench.device)
    if problem.reference is None:
        return prepared
    single = prepared._replace(precision="float32")
    exact = torch_device(single)().cpu().numpy()
    return prepared._replace(exact=exact)


def _settle(problem: bench_meta.Problem, images: Any, device: str) -> None:
    """Gives both sides BatchNorm statistics under which features carry a signal."""
    from jiaa.models.pretrained import SPECS
    from scripts import _torch_reference

    spec, reference = SPECS[problem.case.backbone], problem.reference
    inputs = _torch_reference.inputs_of(images, device)
    _torch_reference.settle(reference, _torch_reference.normalised(inputs, spec))
    problem.variables = _torch_reference.to_variables(
        reference.state_dict(), problem.model
    )


def jiaa_host(prepared: Prepared) -> Any:
    """`trunk_features`, as every program of jiaa's computes them."""
    from jiaa.models.trunk import trunk_features
    from jiaa.types import ImageStore

    store = ImageStore(images=prepared.images)
    options = trunk_of(prepared)

    def run():
        features, _ = trunk_features(
            store,
            model=options[0],
            variables=prepared.problem.variables,
            views=options[1],
            batch_size=prepared.batch,
            progress=False,
        )
        return features

    return run


def jiaa_device(prepared: Prepared) -> Any:
    """One batch of `trunk_features`, which lies on the device and stays there."""
    import jax.numpy as jnp

    from jiaa.models.trunk import batch_features

    images = jnp.asarray(prepared.images[: prepared.batch])
    options, variables = trunk_of(prepared), prepared.problem.variables
    return lambda: batch_features(options, variables, images)[0]


def trunk_of(prepared: Prepared) -> tuple[Any, ...]:
    """(model, views, taps, five crops, flip) of one view of a whole image."""
    from jiaa.models.pretrained import SPECS
    from jiaa.models.views import ImageView

    spec = SPECS[prepared.backbone]
    view = ImageView(spec.mean, spec.std, size=None, augment=False)
    return prepared.problem.model, (view,), (), 0, False


def torch_encoder(prepared: Prepared) -> Any:
    """Features [image, feature] in half precision of uint8 images on the device."""
    import copy

    import torch

    from jiaa.models.pretrained import SPECS
    from scripts import _torch_reference

    dtype = getattr(torch, prepared.precision)
    network = copy.deepcopy(prepared.problem.reference.backbone).eval().to(dtype)
    spec = SPECS[prepared.backbone]

    @torch.inference_mode()
    def encode(images):
        inputs = _torch_reference.normalised(images, spec).to(dtype)
        return network(inputs.contiguous(memory_format=torch.channels_last))

    return encode


def torch_host(prepared: Prepared) -> Any:
    """Batches from pinned memory, and features back."""
    import torch

    encode, device = torch_encoder(prepared), prepared.device
    images = torch.from_numpy(prepared.images).permute(0, 3, 1, 2)
    if device == "cuda":
        images = images.pin_memory()

    def run():
        batches = images.split(prepared.batch)
        found = [encode(batch.to(device, non_blocking=True)) for batch in batches]
        return torch.cat(found).float().cpu().numpy()

    return run


def torch_device(prepared: Prepared) -> Any:
    """One batch that lies on the device and stays there."""
    from scripts import _torch_reference

    encode = torch_encoder(prepared)
    images = prepared.images[: prepared.batch]
    images = _torch_reference.inputs_of(images, prepared.device)
    return lambda: encode(images)


def torch_compiled(prepared: Prepared) -> Any:
    """The same, compiled."""
    import torch

    return torch.compile(torch_device(prepared))


CONTESTANTS = (
    ("torch", "host", "eager", torch_host),
    ("jiaa", "host", "trunk_features", jiaa_host),
    ("jiaa", "device", "batch_features", jiaa_device),
    ("torch", "device", "eager", torch_device),
    ("torch", "device", "compile", torch_compiled),
)


def compared(prepared: Any, errors: dict[str, float], side: str, result: Any) -> Line:
    """How far features are from PyTorch's in float32, in their spread.

    Half precision is off by much where weights are random: jiaa's agrees if it is off
    by no more than about what PyTorch's is.
    """
    import numpy as np

    exact = prepared().exact
    if exact is None or not isinstance(result, np.ndarray):
        return {"gap": None}  # a batch on the device: the same program's
    gap = float(np.abs(result[: len(exact)] - exact).mean() / exact.std())
    errors[side] = gap
    if side == "torch" or "torch" not in errors:
        return {"gap": gap}
    return {"gap": gap, "agrees": gap <= TIMES * errors["torch"] + ROUNDING}


def crops(lines: Lines, job: Line, ends: float) -> None:
    """The part "crops": random crops of images on the device, half of them mirrored."""
    bench = Bench(lines, job, ends)
    size = bench.size
    shape = (size.images, size.stored, size.stored, 3)
    for side, make in (("jiaa", jiaa_crops), ("torch", torch_crops)):
        bench.measure(
            side,
            "on the device",
            lambda make=make: make(shape, size.shown, size.batch, bench.device),
            group=f"crops, {size.stored} to {size.shown} px",
            work=size.batch,
            unit="images/s",
            calls=10,
            batch=size.batch,
        )


def jiaa_crops(shape: tuple[int, ...], shown: int, batch: int, device: str) -> Any:
    """`training_view` of rows of a store that lies on the device."""
    import itertools

    import jax
    import jax.numpy as jnp

    from jiaa.data import images
    from jiaa.types import ImageStore

    pixels = jax.random.bits(jax.random.key(0), shape, "uint8")
    store = ImageStore(images=pixels)

    @jax.jit
    def take(store, number):
        key = jax.random.fold_in(jax.random.key(1), number)
        rows = jax.random.randint(key, (batch,), 0, shape[0])
        return images.training_view(store.take(rows), size=shown, key=key)

    numbers = itertools.count()
    return lambda: take(store, jnp.uint32(next(numbers)))


def torch_crops(shape: tuple[int, ...], shown: int, batch: int, device: str) -> Any:
    """The same by indices, all images at once, on the device."""
    import torch

    store = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    room = shape[1] - shown + 1
    along = torch.arange(shown, device=device)

    def run():
        options = {"device": device}
        rows = torch.randint(0, shape[0], (batch, 1, 1), **options)
        top, left = (torch.randint(0, room, (batch, 1), **options) for _ in range(2))
        flipped = torch.rand(batch, 1, **options) < 0.5
        columns = left + torch.where(flipped, shown - 1 - along, along)
        return store[rows, (top + along)[:, :, None], columns[:, None, :]]

    return run
