"""Collaborative experiments (CFAN and its baselines), from config to workdir."""

from jiaa.cli.collaborative.run import evaluate, train

__all__ = ["evaluate", "train"]
