"""One step of collaborative learning, on pairs of user and image.

Pointwise: the three losses of CFAN (eq. 6, whose sign is that of a likelihood: its
negative is minimised). Pairwise: BPR's, a good image of a user against another one.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jiaa import losses
from jiaa.data.interactions import UNSEEN, Labels, Pairs
from jiaa.models.collaborative import Reviews
from jiaa.models.mtrlcnn import relation_penalty
from jiaa.train import tables
from jiaa.types import ImageStore, TrainState, value

TABLES = ("user_table", "image_table", "image_bias")
SOURCES = ("others", "own")
OPPONENTS = ("bad", "any", "popular")


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a step minimises.

    Attributes:
      pairwise: BPR's loss instead of CFAN's.
      crowd: weight of the crowd's verdict, the paper's lambda_beta.
      tag: weight of the tag, lambda_z, on the sum over tags of the binary losses.
      attends_to: where attention comes from: the user's "others" reviews, or the pair's
        "own" one (the paper's reading, which tells the answer: see `docs/cfan.md`).
      reviews: how many others.
      penalty: of the squared factors in the batch, a pair's on average.
      opponents: pairwise: an image that the user found "bad" (any image for a user who
        found none), "any" image, or a "popular" one: any pair's, as implicit draws.
      forgets: share of pairs whose image counts as unseen, so that its content has to
        do: what new photographs need.
      relation: weight of MTRLCNN's penalty, for that network alone.
    """

    pairwise: bool = False
    crowd: float = 1.0
    tag: float = 0.015
    attends_to: str = "others"
    reviews: int = 4
    penalty: float = 0.0
    opponents: str = "bad"
    forgets: float = 0.0
    relation: float = 0.0

    def __post_init__(self):
        """Refuses unknown words, and numbers out of their range."""
        if self.attends_to not in SOURCES or self.opponents not in OPPONENTS:
            raise ValueError(
                f"attends_to={self.attends_to!r}, opponents={self.opponents!r}; "
                f"expected one of {SOURCES} and one of {OPPONENTS}"
            )
        for name in ("crowd", "tag", "penalty", "relation"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}; expected 0 or more")
        if self.reviews < 1 or not 0 <= self.forgets <= 1:
            raise ValueError(
                f"reviews={self.reviews}, forgets={self.forgets}; expected one review "
                "or more, and a share from 0 to 1"
            )


@value
class Material:
    """What steps read: the training pairs, the images' labels and their flat maps.

    `bad` are rows of the users' bad pairs, user by user; `first_bad` and `bad_count`
    say where each user's lie. `store` is None for a network that sees no image.
    """

    pairs: Pairs
    labels: Labels
    store: ImageStore | None
    bad: Int[Array | np.ndarray, " bad"]
    first_bad: Int[Array | np.ndarray, " user"]
    bad_count: Int[Array | np.ndarray, " user"]


def make_material(
    pairs: Pairs, labels: Labels, store: ImageStore | None = None
) -> Material:
    """What steps read of some training pairs."""
    bad = np.flatnonzero(~np.asarray(pairs.good))
    count = np.bincount(np.asarray(pairs.user)[bad], minlength=len(pairs.first))
    first = np.cumsum(count) - count
    bad = bad if len(bad) else np.zeros(1, int)  # nothing can be taken of nothing
    int32 = (x.astype(np.int32) for x in (bad, first, count))
    return Material(pairs, labels, store, *int32)


def reviews_of(
    pairs: Pairs,
    user: Int[Array, " pair"],
    image: Int[Array, " pair"],
    *,
    count: int,
    key: Key[Array, ""],
) -> Reviews:
    """`count` of each user's reviews in `pairs`, drawn with replacement.

    A review of the image itself is never among them: where it is drawn, and for users
    without reviews, the place stays empty. So nothing that a user wrote about an image
    helps to predict what they think of it.
    """
    users = pairs.first.shape[0]
    known = (user >= 0) & (user < users)
    row = jnp.where(known, user, 0)
    total = jnp.where(known, jnp.asarray(pairs.count)[row], 0)[:, None]
    draws = jax.random.randint(key, (user.shape[0], count), 0, jnp.maximum(total, 1))
    rows = jnp.asarray(pairs.first)[row][:, None] + draws
    rows = jnp.minimum(rows, len(pairs) - 1)
    real = (total > 0) & (jnp.asarray(pairs.image)[rows] != image[:, None])
    length = jnp.where(real, jnp.asarray(pairs.length)[rows], 0)
    words = jnp.where(real[..., None], jnp.asarray(pairs.words)[rows], 0)
    return Reviews(words, length)


def own_reviews(pairs: Pairs, rows: Int[Array, " pair"]) -> Reviews:
    """The pairs' own reviews: the answer in the user's words."""
    words = jnp.asarray(pairs.words)[rows][:, None]
    return Reviews(words, jnp.asarray(pairs.length)[rows][:, None])


def pair_losses(
    network: nn.Module,
    params: PyTree,
    rows: Int[Array, " pair"],
    material: Material,
    *,
    objective: Objective,
    key: Key[Array, ""],
) -> dict[str, Float[Array, " pair"]]:
    """Each task's loss of each pair, unweighted; 0 where a label is unknown.

    Pairwise, the rows are good pairs, and the one loss is "user".
    """
    if objective.pairwise:
        return _pairwise(network, params, rows, material, objective=objective, key=key)
    pairs = material.pairs
    user = jnp.asarray(pairs.user)[rows]
    image = jnp.asarray(pairs.image)[rows]
    reviews = None
    if network.attends or network.reads_only:  # pyright: ignore
        reviews = own_reviews(pairs, rows)
        if objective.attends_to == "others":
            options = {"count": objective.reviews, "key": key}
            reviews = reviews_of(pairs, user, image, **options)
    number = _forgetting(image, objective=objective, key=key)
    logits = apply_pairs(network, params, user, image, number, material.store, reviews)
    found = _of_images(logits, image, material.labels)
    if "user" in logits:
        good = jnp.asarray(pairs.good)[rows].astype(jnp.float32)
        found["user"] = losses.binary_cross_entropy(logits["user"], good)
    return found


def _pairwise(
    network: nn.Module,
    params: PyTree,
    rows: Int[Array, " pair"],
    material: Material,
    *,
    objective: Objective,
    key: Key[Array, ""],
) -> dict[str, Float[Array, " pair"]]:
    """BPR's loss of good pairs, each against another image."""
    user = jnp.asarray(material.pairs.user)[rows]
    image = jnp.asarray(material.pairs.image)[rows]
    other = _opponents(material, user, objective=objective, key=key)
    images = jnp.concatenate([image, other])
    users = jnp.concatenate([user, user])
    numbers = _forgetting(images, objective=objective, key=key)
    logits = apply_pairs(network, params, users, images, numbers, material.store)
    preferred, behind = jnp.split(logits["user"], 2)
    return {"user": losses.bpr(preferred, behind)}


def _of_images(
    logits: dict[str, Array], image: Int[Array, " pair"], labels: Labels
) -> dict[str, Float[Array, " pair"]]:
    """The losses of the tasks that do not depend on the user."""
    found = {}
    if "crowd" in logits:
        verdict = jnp.asarray(labels.crowd_good)[image]
        known = jnp.isfinite(verdict)
        target = jnp.where(known, verdict, 0.0)
        cross = losses.binary_cross_entropy(logits["crowd"], target)
        found["crowd"] = jnp.where(known, cross, 0.0)
    if "tag" in logits:
        tag = jnp.asarray(labels.tag)[image]
        one_hot = jax.nn.one_hot(tag, logits["tag"].shape[1])  # none: all 0
        cross = losses.binary_cross_entropy(logits["tag"], one_hot).sum(1)
        found["tag"] = jnp.where(tag >= 0, cross, 0.0)
    return found


def apply_pairs(
    network: nn.Module,
    params: PyTree,
    user: Int[Array, " pair"],
    image: Int[Array, " pair"],
    number: Int[Array, " pair"],
    store: ImageStore | None,
    reviews: Reviews | None = None,
) -> dict[str, Array]:
    """Logits for rows `image` of the store, which the tables know as `number`."""
    content = None if store is None else store.take(image)
    return network.apply({"params": params}, user, number, content, reviews)  # pyright: ignore


def _forgetting(
    image: Int[Array, " pair"], *, objective: Objective, key: Key[Array, ""]
) -> Int[Array, " pair"]:
    if not objective.forgets:
        return image
    chance = jax.random.uniform(jax.random.fold_in(key, 1), image.shape)
    return jnp.where(chance < objective.forgets, UNSEEN, image)


def _opponents(
    material: Material,
    user: Int[Array, " pair"],
    *,
    objective: Objective,
    key: Key[Array, ""],
) -> Int[Array, " pair"]:
    """An image for each pair to be preferred to."""
    bad_key, any_key = jax.random.split(key)
    images = jnp.asarray(material.labels.tag).shape[0]
    anything = jax.random.randint(any_key, user.shape, 0, images)
    if objective.opponents == "any":
        return anything
    if objective.opponents == "popular":
        row = jax.random.randint(any_key, user.shape, 0, len(material.pairs))
        return jnp.asarray(material.pairs.image)[row]
    count = jnp.asarray(material.bad_count)[user]
    draw = jax.random.randint(bad_key, user.shape, 0, jnp.maximum(count, 1))
    place = jnp.asarray(material.first_bad)[user] + draw
    rows = jnp.asarray(material.bad)[jnp.minimum(place, len(material.bad) - 1)]
    return jnp.where(count > 0, jnp.asarray(material.pairs.image)[rows], anything)


def penalty(
    params: PyTree, rows: Int[Array, " pair"], pairs: Pairs
) -> Float[Array, " pair"]:
    """Squared length of the factors of each pair's user and image."""
    numbers = {"user_table": pairs.user, "image_table": pairs.image}
    total = jnp.zeros(rows.shape)
    for table in TABLES:
        if table in params:
            of = numbers.get(table, pairs.image)
            factors = params[table]["embedding"][jnp.asarray(of)[rows]]
            total += jnp.sum(jnp.square(factors), axis=-1)
    return total


def total_loss(
    network: nn.Module,
    params: PyTree,
    rows: Int[Array, " pair"],
    material: Material,
    *,
    objective: Objective,
    key: Key[Array, ""],
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """What a step minimises: eq. 6, negated, with penalties; and each task's mean."""
    weights = {"user": 1.0, "crowd": objective.crowd, "tag": objective.tag}
    found = pair_losses(network, params, rows, material, objective=objective, key=key)
    means = {task: jnp.mean(x) for task, x in found.items()}
    loss = sum(weights[task] * mean for task, mean in means.items())
    if objective.penalty:
        loss += objective.penalty * jnp.mean(penalty(params, rows, material.pairs))
    if objective.relation:
        loss += objective.relation * relation_penalty(params)
    return jnp.asarray(loss), means


def collaborative_step(
    state: TrainState,
    batch: Int[Array, " pair"],
    material: Material,
    *,
    network: nn.Module,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    mesh: Mesh | None = None,
    large: int = tables.LARGE,
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """The state after one step on the pairs in the rows `batch` of `material.pairs`.

    On a mesh, tables of `large` bytes or more lie spread over it (`train.tables`).

    What is drawn follows from the state's key and step, so that a resumed run draws the
    same. Metrics: "loss", and each task's mean as "loss_<task>".
    """
    key = jax.random.fold_in(state.key, state.step)

    def total(params):
        return total_loss(
            network, params, batch, material, objective=objective, key=key
        )

    (loss, means), gradient = jax.value_and_grad(total, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    state = state.replace(
        params=optax.apply_updates(state.params, updates),
        opt_state=opt_state,
        step=state.step + 1,
    )
    if mesh is not None:
        shardings = tables.table_shardings(state, mesh, large=large)
        state = jax.lax.with_sharding_constraint(state, shardings)
    return state, {"loss": loss, **{f"loss_{k}": x for k, x in means.items()}}


train_step = jax.jit(
    collaborative_step,
    static_argnames=("network", "objective", "optimizer", "mesh", "large"),
    donate_argnames="state",
)
"""`collaborative_step`, compiled; the state that goes in is used up."""


def with_means(params: PyTree, pairs: Pairs, *, forgets: bool = False) -> PyTree:
    """The mean of the factors that training met, for those it did not meet.

    That is the last row of each table, and the rows of users and images without pairs:
    their initial noise would be all that is known of them. A training that `forgets`
    images has learned the images' last row, which then stands for the unseen ones.
    """
    filled = dict(params)
    for table in TABLES:
        if table not in params:
            continue
        of_users = table == "user_table"
        factors = jnp.asarray(params[table]["embedding"])
        met = np.zeros(len(factors), bool)
        met[np.unique(np.asarray(pairs.user if of_users else pairs.image))] = True
        other = factors[met].mean(0)
        if forgets and not of_users:
            other = factors[-1]
        chosen = jnp.where(met[:, None], factors, other[None])
        filled[table] = {"embedding": chosen}
    return filled


def pair_rows(pairs: Pairs, objective: Objective) -> Int[np.ndarray, " row"]:
    """The rows that steps learn from: all, or pairwise the good ones."""
    good: Bool[np.ndarray, " pair"] = np.asarray(pairs.good)
    return np.flatnonzero(good) if objective.pairwise else np.arange(len(pairs))
