"""A model as files for others: weights, config and card; and as a StableHLO program.

The folder has the layout of the common model hubs: `model.safetensors`, `config.json`
and a model card in `README.md`. `jiaa.load` reads it back; nothing in it is executable.
`save_program` writes the whole way from pixels to stars as one StableHLO program, which
`jax.export` reads without jiaa.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export
from jaxtyping import Float, UInt8

import jiaa
from jiaa.data.store import replacing
from jiaa.serve import taste
from jiaa.serve.encoder import BATCH
from jiaa.serve.model import Model, predict_unit

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CARD = "README.md"
TASTE = "taste.safetensors"
PROGRAM = "model.stablehlo"
# Machine paths of the run that are no business of a reader.
PRIVATE = (
    "root",
    "cache_dir",
    "features",
    "weights",
    "image_folder",
    "test_workers",
    "prior",
)


def export(
    model: Model, folder: str | os.PathLike[str], *, program: bool = False
) -> Path:
    """Writes a model as a folder that a hub takes, and returns its path.

    Args:
      model: of `jiaa.load`; an adapted one gets `taste.safetensors` as well.
      folder: made if it is not there; an earlier export in it is replaced, its taste
        and program too.
      program: whether to write `model.stablehlo` too.

    Raises:
      FileNotFoundError: the run that the model was loaded from is gone.
      ValueError: `folder` is that run.
    """
    folder = Path(folder)
    source = Path(model.record["source"])
    if source.name != WEIGHTS and folder.resolve() == source.parent.resolve():
        raise ValueError(
            f"{folder} is the run itself, whose {CONFIG} would be replaced; export to "
            "another folder"
        )
    with replacing(folder / WEIGHTS) as partial:
        partial.write_bytes(source.read_bytes())
    # What an earlier export left there is another's: it is not to be handed on.
    for name in (TASTE, PROGRAM):
        (folder / name).unlink(missing_ok=True)
    record = {
        **{k: v for k, v in model.record.items() if k in ("config", "versions")},
        "jiaa": jiaa.__version__,
        "identity": model.identity,
    }
    text = json.dumps(_public(record), indent=2, sort_keys=True)
    write_text(folder / CONFIG, text + "\n")
    if model.adapted is not None:
        taste.save(folder / TASTE, model)
    if program:
        save_program(model, folder / PROGRAM)
    write_text(folder / CARD, card(model))
    return folder


def save_program(
    model: Model, path: str | os.PathLike[str], *, batch: int = BATCH
) -> Path:
    """Writes uint8 pixels [batch height width 3] -> stars [batch] as StableHLO.

    Height and width are `model.encoder.size`. The program holds all weights, the
    adapted ones too, and runs on the kind of device that it was made on.

    Raises:
      ImportError: the package flatbuffers is missing.
      ValueError: the model has no network for pixels.
    """
    if model.encoder.is_elsewhere:
        raise ValueError(
            "this prior reads features that are computed elsewhere: there is no way "
            "from pixels to stars to write. Export it without the program"
        )

    def program(pixels):
        unit = predict_unit(model, pixels)
        return model.to_stars(unit)

    pixels = jax.ShapeDtypeStruct((batch, *model.encoder.size, 3), jnp.uint8)
    exported = jax_export.export(jax.jit(program))(pixels)
    try:
        serialized = exported.serialize()
    except ImportError as error:
        raise ImportError(
            "a StableHLO program is written with flatbuffers: pip install "
            "'jiaa[export]'"
        ) from error
    path = Path(path)
    with replacing(path) as partial:
        partial.write_bytes(serialized)
    return path


def load_program(
    path: str | os.PathLike[str],
) -> Callable[[UInt8[np.ndarray, "image height width 3"]], Float[np.ndarray, " image"]]:
    """The function that `save_program` wrote; fewer images than its batch are padded.

    Raises:
      ValueError: no such program in the file; or, from the function, more images than
        the program's batch, or of another size.
    """
    written = bytearray(Path(path).read_bytes())
    try:
        exported = jax_export.deserialize(written)
    except Exception as error:  # flatbuffers' parser raises anything on a broken file
        raise ValueError(
            f"{path} is no whole program of save_program ({error}). Write it again"
        ) from error
    call = jax.jit(exported.call)
    shape = exported.in_avals[0].shape

    def run(pixels: np.ndarray) -> np.ndarray:
        if pixels.shape[1:] != shape[1:] or len(pixels) > shape[0]:
            raise ValueError(
                f"images of shape {pixels.shape}; expected up to {shape[0]} of "
                f"{shape[1:]}, uint8"
            )
        filled = np.zeros(shape, np.uint8)
        filled[: len(pixels)] = pixels
        return np.asarray(call(filled))[: len(pixels)]

    return run


def card(model: Model) -> str:
    """The model card, in the markdown of the hubs: what it is, for whom, its limits."""
    config = model.record["config"]
    low, high = model.prior_scale
    summary = model.record.get("summary")
    lines = [
        "---",
        "library_name: jiaa",
        "pipeline_tag: image-classification",
        "tags: [image-aesthetics, personalization, meta-learning, jax]",
        "---",
        "",
        f"# {config['method']} on {config['dataset'] or 'a folder of photographs'}",
        "",
        "Predicts how one person will rate photographs, from a few ratings of theirs;",
        "without ratings, how people in general will.",
        "",
        f"- backbone: {config['model']['backbone']}, "
        f"{'frozen' if config['trunk']['frozen'] else 'adapts as well'}",
        f"- input: {_input(model)}",
        f"- trained on: {config['dataset']}, stars from {low:g} to {high:g}",
        f"- adapts by: {model.record['adapt']}",
        f"- identity: {model.identity}",
        "",
        "```python",
        "import jiaa",
        "",
        'model = jiaa.load("this/folder")',
        'mine = model.adapt(["a.jpg", "b.jpg", "c.jpg"], [5, 2, 4])',
        'print(mine.predict("photos/"))',
        "```",
        "",
        *_measured(summary),
        "Scores rank photographs by taste: they are no judgement of a photograph's",
        "worth, nor of anybody in it. The raters that it learned from are not you.",
    ]
    return "\n".join(lines) + "\n"


def _input(model: Model) -> str:
    encoder = model.encoder
    if encoder.is_elsewhere:
        told = f", computed by {encoder.identity}" if encoder.identity else ""
        return f"features of width {encoder.width}{told}"
    height, width = encoder.size
    return f"uint8 RGB, squashed to {height} x {width}"


def _measured(summary: dict | None) -> list[str]:
    if not summary:
        return []
    lines = ["| ratings | metric | mean | std | before any |", "|--:|:--|--:|--:|--:|"]
    for row in summary["results"]:
        numbers = (row[name] for name in ("mean", "std", "generic"))
        cells = ("-" if x is None else f"{x:.3f}" for x in numbers)
        lines.append(f"| {row['shots']} | {row['metric']} | {' | '.join(cells)} |")
    users = summary["results"][0]["users"] if summary["results"] else 0
    return [
        f"Measured on {users} unseen raters of {summary['dataset']}:",
        "",
        *lines,
        "",
    ]


def _public(value):
    if isinstance(value, dict):
        hidden = {k for k in PRIVATE if value.get(k)}
        return {k: "" if k in hidden else _public(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_public(x) for x in value]
    return value


def write_text(path: Path, text: str) -> None:
    """Writes a file whole, or leaves the old one."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
