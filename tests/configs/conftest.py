"""The tiny folder dataset that every experiment is tried on, and less of Inception."""

from experiments import shallow_inception, tiny_world

__all__ = ["shallow_inception", "tiny_world"]
