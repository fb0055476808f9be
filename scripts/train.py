"""Trains one experiment, or goes on where a killed run stopped.

python scripts/train.py --config CONFIG.py --workdir runs/blg
"""

from jiaa.cli.launch import launch
from jiaa.cli.run import train

if __name__ == "__main__":
    launch(train)
