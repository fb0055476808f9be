"""The tiny folder dataset for every experiment, and less of each backbone."""

from experiments import shallow, tiny_world

__all__ = ["shallow", "tiny_world"]
