"""BA-PIAA on FLICKR-AES with ResNet18: the slides' Table II (and Table I), BA-PIAA.

Li, "Personalized Image Aesthetics Assessment", slides of 2020-05-27. From ImageNet's
weights the whole network learns the crowd's mean score of the training images; then
all of it is fine-tuned for each of the 37 test users, by 20 Adam steps at 1e-5 on all
of the user's 10 or 100 ratings, for 50 random splits. The other numbers are those of
the released program: images of 256 px, crops of 224, Adam at 1e-4 for the backbone and
1e-3 for the head, which sits on the 1,000 logits. How long the prior was trained is not
published: 10,000 steps of 64 images are 18 epochs. Decoded images, 7 GB of them, go to
`--config.data.cache_dir`.

    python scripts/train.py    --config configs/ba_piaa/flickr_aes_resnet18.py \
        --workdir runs/ba --config.data.root=FOLDER --config.model.weights=FILE
    python scripts/evaluate.py, with the same flags
    python scripts/table2.py --dataset flickr_aes ...    for the whole table

FILE is torchvision's resnet18, .pth or .safetensors; without it the start is random.

Expected SROCC: 0.524 +- 0.004 with 10 ratings, 0.583 +- 0.006 with 100 (Table I prints
+- 0.014 for the latter). Never run here: FLICKR-AES images are not available; so device
and time are unknown.
"""

from configs import common


def get_config():
    config = common.base()
    config.method = "ba_piaa"
    config.dataset = "flickr_aes"
    config.data.name = "flickr_aes"
    config.model.backbone = "resnet18"
    config.generic.steps_per_epoch = 551  # 35,263 training images by 64
    config.meta.steps = 0
    # As released; and nothing else teaches BLG-PIAA's new head its BatchNorm statistics.
    config.inner.batch_norm = "carry"
    return config
