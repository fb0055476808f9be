"""Teaches an experiment's trunk the training raters' tastes, or goes on after a kill.

python scripts/tune_trunk.py --config CONFIG.py --workdir runs/trunk
"""

from jiaa.cli.launch import launch
from jiaa.cli.tune import tune

if __name__ == "__main__":
    launch(tune)
