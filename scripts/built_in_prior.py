"""Make the prior that comes with jiaa, from a folder of OASIS.

    python scripts/built_in_prior.py --root FOLDER

`FOLDER` has `images/` and `ratings.csv`; all photographs and raters count, whatever
their split in an `images.csv`. What is learned goes to `jiaa/prior`: a linear head,
means and scales of features, a hyper-prior; no network, no photograph and nobody's
rating.
"""

import argparse
import tempfile
from pathlib import Path

from configs.blend import oasis_built_in as experiment
from jiaa.cli import built_in, problem, run
from jiaa.cli.models import load
from jiaa.serve import export as exporting


def main() -> None:
    """Trains `configs/blend/oasis_built_in.py` and writes the package's folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="a folder of OASIS")
    parser.add_argument(
        "--workdir", type=Path, help="where the run lives (a temporary folder)"
    )
    parser.add_argument(
        "--out", type=Path, default=built_in.FOLDER, help="folder (%(default)s)"
    )
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        make(flags.root, flags.workdir or Path(temporary, "run"), flags.out)


def make(root: Path, workdir: Path, out: Path) -> None:
    """Trains in `workdir` and writes the prior without its network to `out`."""
    config = experiment.get_config()
    config.data.root = str(root)
    run.train(config, workdir)
    whole = load(workdir)
    exporting.export(whole, out)
    kept = built_in.without_backbone(problem.load(workdir))
    problem.save(kept, out / exporting.WEIGHTS)
    exporting.write_text(out / exporting.CARD, card(whole.identity))
    sizes = [f"{x.name} {x.stat().st_size:,} bytes" for x in sorted(out.iterdir())]
    print(f"{out}: {', '.join(sizes)}")


def card(identity: str) -> str:
    """The model card."""
    return CARD.replace("IDENTITY", identity)


CARD = """\
---
library_name: jiaa
pipeline_tag: image-classification
tags: [image-aesthetics, personalization, jax]
---

# The built-in prior

How people in general rate the beauty of photographs, and how far that holds for one
person. `jiaa.load()` and the commands without `--prior` use it.

- identity: IDENTITY
- made by: `python scripts/built_in_prior.py --root FOLDER`, which is
  `configs/blend/oasis_built_in.py`
- saw: 387 photographs of OASIS (scenes, objects, animals; Kurdi, Lozano and Banaji,
  Behavior Research Methods 49, 2017) and 84,029 ratings of beauty, 1 to 7, by 653
  people (Brielmann and Pelli, 2019)
- holds: mean and scale of 4,920 features of EfficientNet-Lite2 (ImageNet; Tan and Le,
  ICML 2019; Apache-2.0, a package of its own), one linear weight each, and the log
  probabilities of 16 hypotheses. Nothing in it gives back a photograph or anybody's
  rating: a weight is a sum over all photographs, of their mean over a hundred raters
- arrays: `params/head/slow`, `params/head/bias`, `params/inner/log_prior`; and
  `map/blocks/N/` with `mean`, `scale`, `weight`, and `anchors` and `frequencies`, which
  are empty, where N is 0 to 4
- licence: research use, as that of the ratings and photographs it learned from
- good at: photographs of scenery, animals and everyday objects; people who agree with
  the crowd, and, from some ten ratings on, people who do not
- bad at: pictures unlike those, such as art and architecture, where it knows next to
  nothing before the first ratings; portraits (OASIS' people were left out of the
  ratings); and telling good from very good. Its raters were English-speaking people on
  the internet in 2019
- measured on people and pictures that it never saw: `docs/own_photos.md`

Scores rank photographs by taste: they are no judgement of a photograph's worth, nor of
anybody in it.
"""


if __name__ == "__main__":
    main()
