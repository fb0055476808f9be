"""Measures a trained experiment on all test users, in one call.

python scripts/evaluate.py --config CONFIG.py --workdir runs/blg
"""

from jiaa.cli.launch import launch
from jiaa.cli.run import evaluate

if __name__ == "__main__":
    launch(evaluate)
