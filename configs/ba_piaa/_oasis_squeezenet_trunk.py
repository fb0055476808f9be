"""The trunk of all OASIS experiments: SqueezeNet 1.1, taught the training raters' tastes.

No experiment of its own: `scripts/tune_trunk.py` writes weights that the experiments take
as config.model.weights. Its kernel has the first of configs/ba_piaa/oasis_squeezenet.py's
blocks, the logits.

    python scripts/tune_trunk.py --config configs/ba_piaa/_oasis_squeezenet_trunk.py --workdir runs/trunk --config.data.root=FOLDER --config.model.weights=squeezenet1_1_imagenet.safetensors

Three minutes on 2 shared CPU cores.
"""

from ml_collections import ConfigDict

from configs.ba_piaa import oasis_squeezenet


def get_config():
    config = oasis_squeezenet.get_config()
    config.tune = ConfigDict(  # what scripts/tune_trunk.py does
        {
            "blocks": 1,  # how many of trunk.taps make the kernel: the logits alone
            "steps": 25,
            "rate": 3e-5,  # of AdamW on all layers; half a cosine after the warm-up
            "warmup_steps": 8,
            "weight_decay": 0.01,
            "size": 224,  # random crops of this side, and their mirror images
            "batch_size": 64,  # photographs of one rater
            "strengths": (0.3, 0.3),  # of ridge: the crowd's mean, raters beyond it
            "crowd": 0.25,  # weight of the crowd's error
            "save_every": 5,
        }
    )
    return config
