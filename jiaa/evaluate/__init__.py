"""Protocols that measure every method by the same splits."""

from jiaa.evaluate.personalization import Results, personalization

__all__ = ["Results", "personalization"]
