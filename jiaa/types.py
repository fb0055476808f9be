"""The values that stages exchange, and nothing else.

Vocabulary: a *user* (rater) gives *stars*; stars become *unit scores* (`stars / high`)
once, at the data edge. An *episode* is one user's split into *support* (the ratings
that a method may learn from; their number is the *shots*) and *query* (the ratings that
it is measured on). The *prior* is what all users share before any of them has rated
anything.
"""

import dataclasses
from typing import Any, Protocol, TypeVar, dataclass_transform, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, Shaped, UInt8

T = TypeVar("T")


def _brief(child: Any) -> str:
    """A child's structure with each array as its type and shape."""
    shapes = jax.tree.map(
        lambda x: f"{x.dtype}{list(x.shape)}" if hasattr(x, "shape") else x, child
    )
    return str(shapes).replace("'", "")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """A frozen dataclass whose fields are pytree children, shown by their shapes.

    Rebuilding a pytree skips `__init__`, because JAX puts placeholders (axis numbers,
    shardings, `None`) where arrays stand and the run-time shape checks would refuse
    them.
    """
    cls = dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
    fields = dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
    names = tuple(field.name for field in fields)

    def flatten_with_keys(obj):
        keys = (jax.tree_util.GetAttrKey(name) for name in names)
        return tuple(
            (key, getattr(obj, name)) for key, name in zip(keys, names, strict=True)
        ), None

    def flatten(obj):
        return tuple(getattr(obj, name) for name in names), None

    def unflatten(_, children):
        obj = object.__new__(cls)
        for name, child in zip(names, children, strict=True):
            object.__setattr__(obj, name, child)
        return obj

    def __repr__(self):
        parts = (f"{name}={_brief(getattr(self, name))}" for name in names)
        return f"{cls.__name__}({', '.join(parts)})"

    cls.__repr__ = __repr__
    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


@dataclasses.dataclass(frozen=True, eq=False)
class Ratings:
    """One row a rating, on the host; `stars` lie in `scale`, both ends included."""

    worker: Shaped[np.ndarray, " rating"]
    image: Shaped[np.ndarray, " rating"]
    stars: Float[np.ndarray, " rating"]
    scale: tuple[float, float]

    @property
    def unit_scores(self) -> Float[np.ndarray, " rating"]:
        """`stars / high`, in (0, 1]: the only place where stars change their unit."""
        return (self.stars / self.scale[1]).astype(np.float32)


@value
class ImageStore:
    """Images as uint8 RGB, or a frozen trunk's features of them: exactly one is set.

    Images may be `data.photographs.Photographs`, which decode when they are indexed:
    such a store is read in batches, or compacted, and never passed to `jit`. Where
    `image_ids` is set, ascending, the store holds those images alone, in that order.
    """

    images: UInt8[Any, "image height width 3"] | None = None
    features: Float[Array | np.ndarray, "image feature"] | None = None
    image_ids: Int[Array | np.ndarray, " image"] | None = None

    @property
    def content(self) -> Any:
        """What is set, an array or files; its leading axis is the image."""
        return self.features if self.images is None else self.images

    def __len__(self) -> int:
        """How many images there are."""
        return self.content.shape[0]

    def take(self, image_ids: Int[Array | np.ndarray, "*shape"]) -> Array:
        """Rows of the content for `image_ids`, all of which the store has."""
        rows = image_ids
        if self.image_ids is not None:
            # An id of padding may be missing: any row will do.
            rows = jnp.searchsorted(self.image_ids, image_ids)
            rows = jnp.minimum(rows, len(self) - 1)
        return jnp.asarray(self.content)[rows]


@value
class UserTasks:
    """Every user's ratings, padded to the longest: mask False, id 0 and score 0.

    `user_id` is a stable hash of the worker's name, so that a user's random splits do
    not depend on who else is loaded. `image_ids` are rows of an `ImageStore`.
    """

    user_id: Int[Array | np.ndarray, "*user"]
    image_ids: Int[Array | np.ndarray, "*user rating"]
    scores: Float[Array | np.ndarray, "*user rating"]
    mask: Bool[Array | np.ndarray, "*user rating"]
    side: PyTree = ()

    def __len__(self) -> int:
        """How many users there are."""
        return self.user_id.shape[0]

    def __getitem__(self, users: Any) -> "UserTasks":
        """The tasks of some users, by index, slice or index array."""
        return jax.tree.map(lambda x: x[users], self)


@value
class Examples:
    """One side of an episode: image rows, unit scores and which of them are real."""

    image_ids: Int[Array | np.ndarray, "*user shot"]
    scores: Float[Array | np.ndarray, "*user shot"]
    mask: Bool[Array | np.ndarray, "*user shot"]
    side: PyTree = ()


@value
class Episode:
    """One user's split of their ratings; no query image is in the support set."""

    user_id: Int[Array | np.ndarray, "*user"]
    support: Examples
    query: Examples


@value
class TrainState:
    """What a training step takes and returns, and what a checkpoint holds."""

    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    step: Int[Array | np.ndarray, ""]
    key: Key[Array, ""]

    @property
    def prior(self) -> dict[str, PyTree]:
        """What meta-learners and personalizers take: parameters and statistics."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    def replace(self, **changes: Any) -> "TrainState":
        """The state with some fields changed."""
        return dataclasses.replace(self, **changes)


@runtime_checkable
class Personalizer(Protocol):
    """How a method learns one user. Implementations are frozen, hashable dataclasses.

    They are static under `jit`, written for one user, and batched by `vmap`. `prior` is
    shared and never batched; `adapted` is a pytree of fixed shape that holds all that
    changed for the user. Predicting after `init` gives the generic, un-adapted scores.
    """

    def learnable(self, prior: PyTree) -> PyTree:
        """The prior with the method's own meta-parameters added; often just the prior.

        They are `prior["params"]["inner"]`, such as learned inner rates, and begin with
        the values that the method has without learning.
        """
        ...

    def init(self, prior: PyTree) -> PyTree:
        """The adapted state of a user who has rated nothing."""
        ...

    def adapt(
        self, prior: PyTree, episode: Episode, store: ImageStore, *, key: Key[Array, ""]
    ) -> PyTree:
        """The state after learning from `episode.support`; never reads the query."""
        ...

    def predict(
        self, prior: PyTree, adapted: PyTree, query: Examples, store: ImageStore
    ) -> Float[Array, " query"]:
        """Unit scores of the query images; never reads `query.scores`."""
        ...
