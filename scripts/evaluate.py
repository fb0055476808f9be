"""Measures a trained experiment on all test users, in one call.

python scripts/evaluate.py --config configs/blg_piaa/oasis_squeezenet.py --workdir runs/blg
"""

from jiaa.cli.launch import launch
from jiaa.cli.run import evaluate

if __name__ == "__main__":
    launch(evaluate)
