"""Parts of a parameter tree by name: which parameters adapt, train or stay.

A *pattern* is one of `PARTS` or a regular expression that matches whole paths such as
"head/Dense_0/kernel": "head/.*", ".*/bias", "(conv1|layer1)/.*". A leaf's path is its
keys joined by "/". Where `partition` left None the name still counts, so that a pattern
means the same in a part as in the whole.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jaxtyping import PyTree


def leaf_paths(tree: PyTree) -> list[str]:
    """The path of every leaf, None included, in the order of `jax.tree.leaves`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_none)
    return [_name(path) for path, _ in leaves]


def path_mask(params: PyTree, pattern: str) -> PyTree:
    """A tree like `params` of Python bools: which leaves the pattern names.

    Decided from names alone, so that it is static under `jit` and `vmap`.

    Raises:
        ValueError: no leaf matches; the message lists the paths there are.
    """
    chosen = _named(leaf_paths(params), pattern)
    return jax.tree_util.tree_map_with_path(
        lambda path, _: _name(path) in chosen, params
    )


def values_by_path(params: PyTree, values: Sequence[tuple[str, Any]]) -> PyTree:
    """A tree like `params` of the value beside the first pattern that names each leaf.

    Raises:
        ValueError: a pattern names nothing, or nothing names a leaf; lists the paths.
    """
    paths = leaf_paths(params)
    value_of: dict[str, Any] = {}
    for pattern, value in values:
        for path in _named(paths, pattern):
            value_of.setdefault(path, value)

    def look_up(path, _):
        if _name(path) not in value_of:
            known = [pattern for pattern, _ in values]
            raise ValueError(
                f"none of the patterns {known} names {_name(path)!r}. "
                "Add a pattern for it, or end with '.*' for all the rest."
            )
        return value_of[_name(path)]

    return jax.tree_util.tree_map_with_path(look_up, params)


def partition(params: PyTree, pattern: str) -> tuple[PyTree, PyTree]:
    """(chosen, rest): two trees like `params`, with None where the other has the leaf.

    JAX takes None for an empty subtree: optimizers keep no state for it, `grad` and
    `vmap` pass it by. `merge` puts the two together again.

    Raises:
        ValueError: no leaf matches; the message lists the paths there are.
    """
    mask = path_mask(params, pattern)
    chosen = jax.tree.map(lambda keep, leaf: leaf if keep else None, mask, params)
    rest = jax.tree.map(lambda keep, leaf: None if keep else leaf, mask, params)
    return chosen, rest


def merge(chosen: PyTree, rest: PyTree) -> PyTree:
    """The tree that `partition` took apart.

    Raises:
        ValueError: both trees hold a leaf, or neither does; or other structures.
    """

    def pick(path, one, other):
        if (one is None) == (other is None):
            number = "neither tree has" if one is None else "both trees have"
            raise ValueError(
                f"{number} a value for {_name(path)!r}; expected exactly one. "
                "Merge the two halves that one call of partition returned."
            )
        return other if one is None else one

    return jax.tree_util.tree_map_with_path(pick, chosen, rest, is_leaf=_is_none)


def summary(paths: list[str], *, most: int = 10) -> str:
    """The paths for an error message; a long list is cut in its middle."""
    if len(paths) > most:
        half = most // 2
        paths = [*paths[:half], f"... {len(paths) - most} more ...", *paths[-half:]]
    return ", ".join(paths)


def _named(paths: list[str], pattern: str) -> set[str]:
    if pattern in PARTS:
        chosen = PARTS[pattern](paths)
    else:
        chosen = {path for path in paths if re.fullmatch(pattern, path)}
    if not chosen:
        raise ValueError(
            f"the pattern {pattern!r} names none of the parameters {summary(paths)}. "
            f"Use one of {sorted(PARTS)} or a regular expression for whole paths."
        )
    return chosen


def _head(paths: list[str]) -> set[str]:
    return {path for path in paths if "head" in path.split("/")[:-1]}


def _batch_norm(paths: list[str]) -> set[str]:
    """Scale and bias of the modules that have a "scale": only normalisations do."""
    modules = {path.rpartition("/")[0] for path in paths if _leaf(path) == "scale"}
    return {path for path in paths if path.rpartition("/")[0] in modules}


def _last(paths: list[str]) -> set[str]:
    """The layer with a kernel that comes last in the head (or in the whole network).

    JAX sorts dictionaries by name, so that the order of layers is the natural order of
    their names: Dense_10 comes after Dense_9.
    """
    kernels = [path for path in paths if _leaf(path) == "kernel"]
    among = [path for path in kernels if path in _head(paths)] or kernels
    if not among:
        return set()
    module = max(among, key=_natural).rpartition("/")[0]
    return {path for path in paths if path.rpartition("/")[0] == module}


PARTS: dict[str, Callable[[list[str]], set[str]]] = {
    "all": set,
    "head": _head,
    "batch_norm": _batch_norm,
    "last": _last,
}


def _name(path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _is_none(leaf: Any) -> bool:
    return leaf is None


def _leaf(path: str) -> str:
    return path.rpartition("/")[2]


def _natural(path: str) -> list[tuple[bool, int, str]]:
    pieces = re.split(r"(\d+)", path)
    return [(p.isdigit(), int(p) if p.isdigit() else 0, p) for p in pieces]
