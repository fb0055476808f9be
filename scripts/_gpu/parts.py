"""The parts of docs/speed_gpu.md, most important first."""

from scripts._gpu.runner import Part

META = "scripts._gpu.meta"
LAYERS = "scripts._gpu.layers"
PICTURES = "scripts._gpu.pictures"

PARTS = (
    Part("device", "scripts._gpu.device:figures", 40, "What the device can do"),
    Part("meta", f"{META}:figures", 170, "A meta-iteration of BLG-PIAA"),
    Part("epochs", f"{META}:epochs", 75, "Fifty epochs, from a slice"),
    Part(
        "evaluation",
        "scripts._gpu.evaluation:figures",
        90,
        "Evaluating 37 users on 50 splits",
    ),
    Part("kinds", f"{LAYERS}:kinds", 75, "Convolutions, way by way"),
    Part("encoding", f"{PICTURES}:encoding", 60, "Images into features"),
    Part("crops", f"{PICTURES}:crops", 25, "Random crops on the device"),
    Part("meta_more", f"{META}:figures", 120, "A meta-iteration, other ways"),
    Part("rules", f"{LAYERS}:rules", 60, "The user axis, vmap and map"),
)
NAMES = tuple(part.name for part in PARTS)
