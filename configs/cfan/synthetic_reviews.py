"""BPR to CFAN-3 and MTRLCNN on the synthetic world's reviews, from text to AUC.

Generated photographs, users and reviews. Ratings are derived from the reviews' words, a
tenth of the pairs is held out, tags are content classes, the crowd's verdict is that of
the votes. MTRLCNN, a narrow VGG-16 on 64 px photographs, learns first; its maps then
are the content of the others.

    python scripts/train.py    --config configs/cfan/synthetic_reviews.py:mtrlcnn --workdir runs/mtrlcnn
    python scripts/train.py    --config configs/cfan/synthetic_reviews.py:cfan_3 --workdir runs/cfan_3 --config.trunk.run=runs/mtrlcnn
    python scripts/evaluate.py --config configs/cfan/synthetic_reviews.py:cfan_3 --workdir runs/cfan_3 --config.trunk.run=runs/mtrlcnn
    python scripts/cfan_table.py --config synthetic_reviews --leak

Measured on 951 held-out pairs, synthetic, three seeds, AUC: MTRLCNN .707 (one run), BPR
.757 +- .007, VBPR .739 +- .003, CFN_pure .790 +- .010, CFN-1 .820 +- .010, CFAN-1 .818 +-
.011, CFAN-2 .819 +- .008, CFAN-3 .825 +- .010, reviews alone .593 +- .010; with the
pair's own review, CFAN-1 to -3 .999. Six minutes for MTRLCNN, one to two for each other
on one shared CPU core.
"""

from configs.cfan import _common

VARIANTS = _common.METHODS


def get_config(method="cfan_3"):
    config = _common.base(method)
    config.dataset = "synthetic_reviews"
    config.data.image_size = 64
    config.world = {
        "seed": 0,
        "images": 1200,
        "users": 150,
        "reviews_per_image": 8,
        "image_size": 64,
    }
    config.reviews.length = 16  # words of the longest
    # Narrow, and with the library's convolutions: there is no user axis here.
    options = {"width": 8, "dense": 0, "convolution": "library"}
    config.trunk.backbone_options = options
    config.trunk.stage = "block4"
    config.trunk.grid = 4
    config.evaluate.shots = (5, 20)
    config.adapt.strength = 0.3
    config.adapt.steps = 200
    config.objective.penalty = 0.1
    config.model.width = 16
    config.train.optimizer_options = {"weight_decay": 1.0}
    config.train.batch_size = 256
    if method == "mtrlcnn":
        config.trunk.trains = True
        config.objective.relation = 1e-3
        config.objective.tag = 0.3
        config.train.batch_size = 32
        config.train.steps = 1000
        config.train.rate = 5e-4
    elif method not in ("bpr", "vbpr"):
        config.model.state = 16
        config.model.hidden = ()
    if method.startswith(("cfan", "review")):
        config.model.word_width = 16
        config.objective.reviews = 2
        config.train.batch_size = 128
        config.train.steps = 1000
    return config
