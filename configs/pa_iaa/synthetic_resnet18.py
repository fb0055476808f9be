"""PA_IAA on the embedded synthetic world: a distribution and traits, then fusion a user.

The protocols of PA_IAA's Tables I, II, IV and V on generated photographs and raters. A
narrow ResNet18 learns, in every step, the distribution of the crowd's stars from 32 px
images of one database, 7,000 of them, and the Big-Five traits of who likes an image from
those of another, 1,500; then five weights are fitted for each of the 37 test users, in
closed form. As in the released program each task's loss has a step of Adam of its own,
with which aesthetics lose nothing to the traits (docs/personality.md).

    python scripts/train.py --config configs/pa_iaa/synthetic_resnet18.py --workdir runs/pa
    python scripts/evaluate.py --config configs/pa_iaa/synthetic_resnet18.py --workdir runs/pa

Measured on seed 0: SROCC .397 with 10 ratings, .424 with 100 (generic .383, .376). Chosen
on a development world, data.seed 10 (docs/personality.md).
"""

from configs import common_multitask


def get_config():
    config = common_multitask.base()
    config.method = "pa_iaa"
    config.dataset = "synthetic"
    config.data.name = "synthetic"
    config.data.image_size = 36
    config.data.seed = 0
    config.model.backbone = "resnet18"
    config.model.backbone_options = {"width": 16}
    config.model.hidden = (128, 64)
    config.view.size = 32
    config.second.update({"users": 600, "images": 12_000, "shown": 600, "likes": 100})
    config.second.train_images = 1_500
    config.second.image_size = 36
    config.generic.steps = 500
    config.generic.mode = "alternating"
    config.generic.batch_size = 64
    config.generic.optimizer = "adamw"
    config.generic.optimizer_options = {"weight_decay": 0.2}
    config.generic.rates = ((".*", 3e-3),)
    config.generic.schedule = "cosine"
    config.generic.save_every = 250
    config.evaluate.strategy = "vmap"
    return config
