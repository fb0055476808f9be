"""Users, images and reviews in one network: CFN and CFAN (Wang et al., IJCAI 2018).

    q_v       an image's embedding                     f_v    its map, from a CNN
    K         sigmoid(W h + b), from the review's annotation h
    a         softmax over positions of K * f_v (5), for each channel
    q_v^i     q_v * (W^i . sum over positions of a * f_v), element by element (1)
    y         hidden layers on (user's embedding) * q_v^i (2)

Every network here has three methods, so that one training step, one protocol and one
way to fit new users serve all of them: `user` and `item` give vectors, `judge` what
follows from a user's and an item's. Tables have one row more than there are users or
images: the last, number -1, stands for whoever training has not seen.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from jiaa.models.text import ReviewEncoder
from jiaa.types import value

TASKS = ("user", "tag", "crowd")
ATTENTION = ("channel", "position")
INTERACTIONS = ("product", "joined")
MERGES = ("product", "residual")


@value
class Reviews:
    """The reviews that a pair's attention comes from; length 0: no such review."""

    words: Int[Array, "pair review word"]
    length: Int[Array, "pair review"]


class Collaborative(nn.Module):
    """CFN and CFAN by their arguments (`VARIANTS`).

    Attributes:
      users: how many training knows; the table has one row more.
      images: likewise.
      table_multiple: tables have a multiple of so many rows (`train.tables`).
      width: of the embeddings (the paper's k).
      map_shape: height, width and channels of the images' maps, which come flat; None
        for a network that sees no image.
      trunk: a network that makes the maps of uint8 images and learns with the rest
        (`image_maps.MapTrunk`); None where the content already is the maps.
      indexed: whether images have embeddings of their own.
      personal: whether users have.
      attends: whether reviews say where to look.
      attention: "channel", a map of weights for each channel, as large as f_v (the
        paper's); "position", one for all channels, from the kernel's sum over them.
      kernel_size: of the review's kernel; 1, or an odd number of positions.
      tasks: what is predicted: "user", "tag", "crowd".
      tags: how many there are.
      vocabulary: how many words there are.
      word_width: of the words' embeddings.
      state: of the GRU.
      hidden: widths of the layers before each prediction.
      merge: of an image's embedding and its content: their "product" (the paper's, eq.
        1), or "residual", (1 + q_v) times the content, which an image without ratings
        keeps as it is.
      interaction: "product" of user and item (the paper's); "joined" puts both factors
        beside their product, so that a user's strictness has a place of its own.
      spread: standard deviation of all initial weights (the paper: 1); None scales
        layers by their width and gives embeddings 0.1.
    """

    users: int
    images: int
    table_multiple: int = 1
    width: int = 50
    map_shape: tuple[int, int, int] | None = None
    trunk: nn.Module | None = None
    indexed: bool = True
    personal: bool = True
    attends: bool = False
    attention: str = "channel"
    kernel_size: int = 1
    tasks: tuple[str, ...] = ("user",)
    tags: int = 0
    vocabulary: int = 0
    word_width: int = 50
    state: int = 50
    hidden: tuple[int, ...] = (50,)
    merge: str = "residual"
    interaction: str = "joined"
    spread: float | None = None

    def __post_init__(self):
        """Refuses arguments that contradict each other."""
        super().__post_init__()
        _check(self)

    def setup(self):
        """Tables, encoder and layers; named for what they hold."""
        table = nn.initializers.normal(self.spread or 0.1)
        layer = nn.initializers.lecun_normal()
        if self.spread is not None:
            layer = nn.initializers.normal(self.spread)
        if self.personal:
            self.user_table = nn.Embed(
                table_rows(self.users, self.table_multiple),
                self.width,
                embedding_init=table,
            )
        if self.indexed:
            self.image_table = nn.Embed(
                table_rows(self.images, self.table_multiple),
                self.width,
                embedding_init=table,
            )
        if self.map_shape is not None:
            self.content = nn.Dense(self.width, kernel_init=layer)
        if self.attends or self.reads_only:
            self.encoder = ReviewEncoder(self.vocabulary, self.word_width, self.state)
        if self.attends:
            assert self.map_shape is not None
            features = self.kernel_size**2 * self.map_shape[2]
            self.kernel = nn.Dense(features, kernel_init=layer)
        if self.reads_only:
            self.review = nn.Dense(self.width, kernel_init=layer)
        self.heads = {
            task: _Head(self.hidden, self._outputs(task), layer, name=task)
            for task in self.tasks
        }

    @property
    def reads_only(self) -> bool:
        """Whether the review is all there is (the paper's review-only ablation)."""
        return not self.indexed and self.map_shape is None

    def _outputs(self, task: str) -> int:
        return self.tags if task == "tag" else 1

    def __call__(
        self,
        user: Int[Array, " pair"],
        image: Int[Array, " pair"],
        content: Shaped[Array, "pair ..."] | None = None,
        reviews: Reviews | Array | None = None,
    ) -> dict[str, Array]:
        """Logits of each task: "user" [pair], "tag" [pair tag], "crowd" [pair]."""
        return self.judge(self.user(user), self.item(image, content, reviews))

    def user(self, user: Int[Array, " pair"]) -> Float[Array, "pair factor"]:
        """Users' vectors; number -1 is a new user."""
        if not self.personal:
            return jnp.ones((user.shape[0], self.width))
        return look_up(self.user_table, user)

    def item(
        self,
        image: Int[Array, " pair"],
        content: Shaped[Array, "pair ..."] | None = None,
        reviews: Reviews | Array | None = None,
    ) -> Float[Array, "pair factor"]:
        """q_v^i of each pair (eq. 1); `reviews`, or their annotations [pair state]."""
        vector = jnp.ones((image.shape[0], self.width))
        if self.indexed:
            vector = look_up(self.image_table, image)
        if self.map_shape is not None:
            found = self.content(self.attended(content, reviews))
            residual = self.indexed and self.merge == "residual"
            vector = (1 + vector if residual else vector) * found
        if self.reads_only:
            vector = vector * self.review(self.annotation(reviews))
        return vector

    def judge(
        self, user: Float[Array, "pair factor"], item: Float[Array, "pair factor"]
    ) -> dict[str, Array]:
        """Logits of each task from users' and items' vectors (eq. 2)."""
        shared = user * item
        if self.interaction == "joined":
            shared = jnp.concatenate([shared, user, item], axis=-1)
        found = {task: head(shared) for task, head in self.heads.items()}
        return {task: x if task == "tag" else x[..., 0] for task, x in found.items()}

    def attended(
        self,
        content: Shaped[Array, "pair ..."] | None,
        reviews: Reviews | Array | None = None,
    ) -> Float[Array, "pair channel"]:
        """The map summed over positions by its attention; without one, their mean."""
        maps = self._maps(content)
        if not self.attends:
            return maps.mean((1, 2))
        return jnp.sum(self._weights(maps, reviews) * maps, axis=(1, 2))

    def weights(
        self, content: Shaped[Array, "pair ..."] | None, reviews: Reviews | Array | None
    ) -> Float[Array, "pair height width channel"]:
        """Attention over positions (eq. 5); each channel's sums to 1."""
        return self._weights(self._maps(content), reviews)

    def _weights(
        self,
        maps: Float[Array, "pair height width channel"],
        reviews: Reviews | Array | None,
    ) -> Float[Array, "pair height width channel"]:
        kernel = nn.sigmoid(self.kernel(self.annotation(reviews)))
        found = _convolve(maps, kernel, size=self.kernel_size)
        if self.attention == "position":
            found = jnp.sum(found, axis=-1, keepdims=True)
        pairs, height, width, channels = found.shape
        flat = nn.softmax(found.reshape(pairs, height * width, channels), axis=1)
        found = flat.reshape(pairs, height, width, channels)
        return jnp.broadcast_to(found, maps.shape)

    def annotation(self, reviews: Reviews | Array | None) -> Float[Array, "pair state"]:
        """The mean annotation of a pair's reviews; 0 for who has written none."""
        if reviews is None:
            raise ValueError("this network reads reviews; pass `reviews`")
        if not isinstance(reviews, Reviews):
            return reviews
        pairs, count, _ = reviews.words.shape
        flat = reviews.words.reshape(pairs * count, -1)
        states = self.encoder(flat, reviews.length.reshape(-1))
        states = states.reshape(pairs, count, -1)
        written = jnp.sum(reviews.length > 0, axis=1, keepdims=True)
        return jnp.sum(states, axis=1) / jnp.maximum(written, 1)

    def _maps(
        self, content: Shaped[Array, "pair ..."] | None
    ) -> Float[Array, "pair height width channel"]:
        if content is None or self.map_shape is None:
            raise ValueError("this network sees images; pass `content`, flat maps")
        if self.trunk is not None:
            content = self.trunk(content)
        return jnp.reshape(jnp.asarray(content), (-1, *self.map_shape))


class _Head(nn.Module):
    """Hidden layers and the prediction of one task."""

    hidden: tuple[int, ...]
    outputs: int
    kernel_init: Any

    @nn.compact
    def __call__(self, x: Float[Array, "pair factor"]) -> Float[Array, "pair output"]:
        for width in self.hidden:
            x = nn.relu(nn.Dense(width, kernel_init=self.kernel_init)(x))
        return nn.Dense(self.outputs, kernel_init=self.kernel_init)(x)


def _check(network: Collaborative) -> None:
    unknown = sorted(set(network.tasks) - set(TASKS))
    if unknown or not network.tasks:
        raise ValueError(f"tasks={network.tasks}; expected some of {TASKS}")
    words = {"attention": ATTENTION, "merge": MERGES, "interaction": INTERACTIONS}
    for field, known in words.items():
        if getattr(network, field) not in known:
            given = getattr(network, field)
            raise ValueError(f"{field}={given!r}; expected one of {known}")
    if network.attends and network.map_shape is None:
        raise ValueError("attends=True without map_shape; reviews attend to a map")
    if network.kernel_size % 2 == 0:
        raise ValueError(f"kernel_size={network.kernel_size}; expected an odd number")
    if "tag" in network.tasks and network.tags < 2:
        raise ValueError(f"tags={network.tags}; the task 'tag' needs two or more")
    if (network.attends or network.reads_only) and network.vocabulary < 2:
        raise ValueError(
            f"vocabulary={network.vocabulary}; a network that reads needs its size"
        )


def table_rows(known: int, multiple: int) -> int:
    """How many rows a table has: one more than it knows, up to a multiple."""
    return -(-(known + 1) // multiple) * multiple


def look_up(
    table: nn.Embed, number: Int[Array, " pair"]
) -> Float[Array, "pair factor"]:
    """The table's rows; -1 is the last."""
    return table(jnp.where(number < 0, table.num_embeddings - 1, number))


def _convolve(
    maps: Float[Array, "pair height width channel"],
    kernel: Float[Array, "pair weight"],
    *,
    size: int,
) -> Float[Array, "pair height width channel"]:
    """Each pair's map by its own kernel, channel by channel; the border is 0."""
    pairs, height, width, channels = maps.shape
    kernel = kernel.reshape(pairs, size, size, channels)
    reach = size // 2
    padded = jnp.pad(maps, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    shifted = (
        padded[:, i : i + height, j : j + width] * kernel[:, i, j][:, None, None]
        for i in range(size)
        for j in range(size)
    )
    return sum(shifted)  # pyright: ignore[reportReturnType]


@dataclasses.dataclass(frozen=True)
class Variant:
    """Which of the paper's parts a network has; the rest of it is the data's."""

    sees: bool = True
    attends: bool = False
    tasks: tuple[str, ...] = ("user",)
    personal: bool = True
    indexed: bool = True

    def options(self) -> dict[str, Any]:
        """Arguments of `Collaborative`; give `map_shape` as well if it `sees`."""
        fields = dataclasses.asdict(self)
        del fields["sees"]
        return {**fields, "tasks": tuple(self.tasks)}


VARIANTS = {
    "cfn_pure": Variant(sees=False, tasks=("user", "tag")),
    "cfn_1": Variant(),
    "cfan_1": Variant(attends=True),
    "cfan_2": Variant(attends=True, tasks=("user", "tag")),
    "cfan_3": Variant(attends=True, tasks=("user", "tag", "crowd")),
    "review_only": Variant(sees=False, personal=False, indexed=False),
}
