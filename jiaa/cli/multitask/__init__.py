"""Experiments of several tasks: PDMTL, PA_IAA, MT_IAA, NIMA and Kong's networks.

`configs/common_multitask.py` documents every field.
"""
