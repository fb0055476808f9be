"""Collaborative experiments (CFAN and its baselines), from config to workdir."""

from jiaa.cli.collaborative.review_data import describe
from jiaa.cli.collaborative.run import evaluate, train

__all__ = ["describe", "evaluate", "train"]
