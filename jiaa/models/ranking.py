"""BPR (Rendle et al., UAI 2009) and VBPR (He and McAuley, AAAI 2016).

Factors of users and images, for ranking, with the methods of `models.collaborative`.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from jiaa.models.collaborative import look_up, table_rows


class Ranking(nn.Module):
    """x = b_v + g_u . g_v, and with content f: + t_u . E f + w . f (VBPR, eq. 4).

    Attributes:
      users: how many training knows; tables have one row more, for all others.
      images: likewise.
      table_multiple: tables have a multiple of so many rows (`train.tables`).
      width: of the factors g, and of VBPR's t.
      map_shape: of the images' maps, whose mean over positions is f; None is BPR.
      spread: standard deviation of the initial factors.
    """

    users: int
    images: int
    table_multiple: int = 1
    width: int = 50
    map_shape: tuple[int, int, int] | None = None
    spread: float = 0.1

    tasks = ("user",)
    attends = reads_only = False

    def setup(self):
        """Factors, biases, and VBPR's projections."""
        factors = nn.initializers.normal(self.spread)
        width = self.width * (1 if self.map_shape is None else 2)
        users, images = (
            table_rows(known, self.table_multiple)
            for known in (self.users, self.images)
        )
        self.user_table = nn.Embed(users, width, embedding_init=factors)
        self.image_table = nn.Embed(images, self.width, embedding_init=factors)
        self.image_bias = nn.Embed(images, 1, embedding_init=nn.initializers.zeros)
        if self.map_shape is not None:
            self.content = nn.Dense(self.width, use_bias=False)
            self.content_bias = nn.Dense(1, use_bias=False)

    def __call__(
        self,
        user: Int[Array, " pair"],
        image: Int[Array, " pair"],
        content: Shaped[Array, "pair ..."] | None = None,
        reviews: None = None,
    ) -> dict[str, Array]:
        """{"user": x [pair]}; only differences among a user's images mean anything."""
        return self.judge(self.user(user), self.item(image, content, reviews))

    def user(self, user: Int[Array, " pair"]) -> Float[Array, "pair factor"]:
        """Users' factors; number -1 is a new user."""
        return look_up(self.user_table, user)

    def item(
        self,
        image: Int[Array, " pair"],
        content: Shaped[Array, "pair ..."] | None = None,
        reviews: None = None,
    ) -> Float[Array, "pair factor"]:
        """[g_v, E f, bias] of each pair's image."""
        del reviews
        parts = [look_up(self.image_table, image)]
        bias = look_up(self.image_bias, image)
        if self.map_shape is not None:
            if content is None:
                raise ValueError("VBPR sees images; pass `content`, flat maps")
            height, width, channels = self.map_shape
            mean = content.reshape(-1, height * width, channels).mean(1)
            parts.append(self.content(mean))
            bias = bias + self.content_bias(mean)
        return jnp.concatenate([*parts, bias], axis=-1)

    def judge(
        self, user: Float[Array, "pair factor"], item: Float[Array, "pair item_factor"]
    ) -> dict[str, Array]:
        """{"user": x [pair]} from users' and items' vectors."""
        return {"user": jnp.sum(user * item[..., :-1], axis=-1) + item[..., -1]}
