"""Experiments: one file is one reported experiment, its docstring the record."""
