"""Trains and measures a trait model with each tenth of the users held out.

    python scripts/ten_folds.py --config CONFIG.py --workdir runs/folds

PA_IAA's Table II; resumes after a kill.
"""

from jiaa.cli.launch import launch
from jiaa.cli.multitask.folds import ten_folds

if __name__ == "__main__":
    launch(ten_folds)
