"""A finished run as one object: photographs in, stars out; a few ratings in, yours out.

    model = jiaa.load("runs/blg")
    model.predict(["a.jpg", "b.jpg"])
    mine = model.adapt(["a.jpg", "b.jpg"], [5, 2])
    mine.predict("holiday/")

Models are values: `adapt` returns a new one and leaves the old as it was.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Num, PyTree, Shaped
from PIL import Image
from tqdm import tqdm

from jiaa.data.feature_file import FeatureFile
from jiaa.data.images import AnyPath, ImageError
from jiaa.serve.cache import FeatureCache, photo_key
from jiaa.serve.encoder import BATCH, Encoded, Encoder
from jiaa.serve.known import are_features, folders_of, known_features
from jiaa.serve.photos import Photo, decode_batches, find_photos
from jiaa.serve.programs import adapted_to, capacity, padded, scores_of, store_of
from jiaa.types import ImageStore, Personalizer

Scale = tuple[float | int, float | int]
Map = Callable[[Array], Array]
Photos = Photo | Sequence[Photo] | Float[Array | np.ndarray, "image feature"]
Features = FeatureFile | AnyPath  # of photographs, computed before
Stars = Sequence[float | int] | Num[np.ndarray, " image"]


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A prior that scores photographs, and adapts to a person's ratings.

    Attributes:
      personalizer: how it learns a person.
      prior: what all people share.
      encoder: photographs -> features or pixels.
      feature_map: a pytree that maps a frozen trunk's features to what the method
        learns from; None: none.
      prior_scale: (low, high) stars that the prior was trained on.
      scale: (low, high) stars of this model's user; the ends of the two scales meet.
      identity: changes with anything that was learned.
      record: what config.json and an export's model card tell: JSON values.
      adapted: what a person's ratings changed; None: nobody's.
      ratings: how many those were.
      room: how many rows they were padded to, where that shapes what adapted.
    """

    personalizer: Personalizer
    prior: PyTree
    encoder: Encoder
    feature_map: Map | None
    prior_scale: Scale
    scale: Scale
    identity: str
    record: Mapping[str, Any]
    adapted: PyTree | None = None
    ratings: int = 0
    room: int = 0

    def __repr__(self) -> str:
        """One line: the arrays would fill a screen."""
        low, high = self.scale
        who = f"{self.ratings} ratings" if self.adapted is not None else "nobody's"
        method = self.record.get("method", type(self.personalizer).__name__)
        return f"Model({method}, {low:g} to {high:g} stars, taste of {who})"

    def replace(self, **changes: Any) -> "Model":
        """The model with some fields changed."""
        return dataclasses.replace(self, **changes)

    def predict(
        self, photos: Photos, *, features: Features | None = None
    ) -> Float[np.ndarray, " image"]:
        """Stars of photographs, in `scale`; extremes may lie a little outside of it.

        Args:
          photos: paths of files or folders (which stand for all photographs below, in
            the order of `serve.photos.find_photos`), PIL images or uint8 arrays [height
            width 3]; one of them or a list. Or their features, floats [image feature].
          features: a file of the photographs' features by name (`data.feature_file`):
            none is decoded, and none need be there.

        Raises:
          ImageError: a photograph cannot be read; names each.
          ValueError: features of another width, or of another encoder.
        """
        return self.score(self.encode(photos, features=features))

    def adapt(
        self,
        photos: Photos,
        stars: Stars,
        *,
        features: Features | None = None,
        key: Key[Array, ""] | None = None,
    ) -> "Model":
        """The model of a person who gave these photographs these stars.

        Earlier ratings are not remembered: pass all of them.

        Args:
          photos: as in `predict`.
          stars: one a photograph, in `scale`.
          features: as in `predict`.
          key: of minibatches and dropout, where the method has any.

        Raises:
          ImageError: a photograph cannot be read.
          ValueError: no ratings, another number of stars than photographs, or stars off
            the scale.
          FloatingPointError: the method diverged on these ratings.
        """
        content = self.encode(photos, features=features)
        return self.adapt_encoded(content, stars, key=key)

    def reading(
        self, features: Features, *, folders: Sequence[AnyPath] = ()
    ) -> "Model":
        """The model that looks features up in a file (`KnownFeatures`), decoding none.

        Raises:
          DataError: a wrong file, or features of another width or encoder.
          ValueError: the model reads pixels.
        """
        known = known_features(features, folders)
        return self.replace(encoder=self.encoder.reading(known))

    def encode(
        self,
        photos: Photos,
        *,
        features: Features | None = None,
        cache: FeatureCache | None = None,
        progress: bool = False,
    ) -> Shaped[np.ndarray, "image ..."]:
        """Features (or pixels) of photographs, for `score`; see `predict`."""
        if are_features(photos):
            return self.encoder.checked(np.asarray(photos))
        listed, model = as_list(photos), self
        if features is not None:
            model = self.reading(features, folders=folders_of(photos))
        batches = list(model.stream(listed, cache=cache, progress=progress))
        failures = [why for batch in batches for why in batch.failures.values()]
        if failures:
            found = "\n".join(f"  {why}" for why in failures)
            raise ImageError(
                f"{len(failures)} of {len(listed)} photographs failed\n{found}"
            )
        if not listed:
            return np.zeros((0, 0), np.float32)
        rows = np.concatenate([batch.rows for batch in batches])
        content = np.concatenate([batch.content for batch in batches])
        return content[np.argsort(rows)]

    def stream(
        self,
        photos: Sequence[Photo],
        *,
        cache: FeatureCache | None = None,
        workers: int | None = None,
        progress: bool = True,
    ) -> Iterator[Encoded]:
        """`photos` encoded in batches; those in the cache first.

        Args:
          photos: a list; of files, where there is a cache.
          cache: of this model's encoder (`open_cache`); what is new is added to it.
          workers: threads that decode.
          progress: whether to show a bar.
        """
        listed = list(photos)
        if self.encoder.known is not None:
            yield Encoded(*self.encoder.known.find(listed))
            return
        self.encoder.check_here()
        size = self.encoder.size
        keys = []
        if cache is not None:
            keys = [photo_key(os.fspath(x), size=size) for x in listed]  # pyright: ignore
        known = cache.known(keys) if cache is not None else [False] * len(listed)
        new = [row for row, there in enumerate(known) if not there]
        old = [row for row, there in enumerate(known) if there]
        bar = tqdm(
            total=len(listed), desc="photographs", unit="photo", disable=not progress
        )
        with bar:
            for start in range(0, len(old), BATCH):
                rows = old[start : start + BATCH]
                assert cache is not None
                yield Encoded(np.asarray(rows), cache.take([keys[r] for r in rows]))
                bar.update(len(rows))
            pixels = [listed[row] for row in new]
            for batch in decode_batches(
                pixels,
                size=size,
                shapes=self.encoder.shapes,
                batch_size=BATCH,
                workers=workers,
            ):
                rows = np.asarray(new, np.int64)[batch.rows]
                content = self.encoder(batch.images)
                if cache is not None and len(rows):
                    cache.add([keys[row] for row in rows], content)
                failures = {new[row]: why for row, why in batch.failures.items()}
                yield Encoded(rows, content, failures)
                bar.update(len(rows) + len(failures))

    def score(
        self, content: Shaped[np.ndarray, "image ..."]
    ) -> Float[np.ndarray, " image"]:
        """Stars of what `encode` gave.

        Raises:
          FloatingPointError: some are not finite.
        """
        if not len(content):
            return np.zeros(0, np.float32)
        adapted = self.adapted
        if adapted is None:
            adapted = self.personalizer.init(self.prior)
        parts = []
        for start in range(0, len(content), BATCH):
            batch = content[start : start + BATCH]
            unit = scores_of(
                self.prior,
                adapted,
                self.feature_map,
                jnp.asarray(padded(batch, BATCH)),
                personalizer=self.personalizer,
            )
            parts.append(np.asarray(unit)[: len(batch)])
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            stars = self.to_stars(np.concatenate(parts))
        if not np.isfinite(stars).all():
            raise FloatingPointError(
                f"{np.sum(~np.isfinite(stars))} of {len(stars)} scores are not finite; "
                "the taste, the prior or the features hold absurd numbers. Learn or "
                "compute them again"
            )
        return stars

    def adapt_encoded(
        self,
        content: Shaped[np.ndarray, "image ..."],
        stars: Stars,
        *,
        key: Key[Array, ""] | None = None,
    ) -> "Model":
        """`adapt`, of what `encode` gave."""
        unit = self.to_unit(np.asarray(stars, np.float32), count=len(content))
        room, key = capacity(len(content)), jax.random.key(0) if key is None else key
        adapted = adapted_to(
            self.prior,
            self.feature_map,
            jnp.asarray(padded(content, room)),
            jnp.asarray(padded(unit, room)),
            jnp.arange(room) < len(unit),
            key,
            personalizer=self.personalizer,
        )
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(adapted)):
            raise FloatingPointError(
                f"adapting to {len(content)} ratings gave values that are not finite; "
                "lower the method's rates, or use the method ridge"
            )
        return self.replace(adapted=adapted, ratings=len(content), room=room)

    def like_the_prior(self) -> "Model":
        """The same person's model as if they had rated nothing: the prior's ranking."""
        return self.replace(adapted=self.start(self.room))

    def start(self, room: int) -> PyTree:
        """What adapts, before any rating, in the shapes of `room` of them."""
        method: Any = self.personalizer
        if hasattr(method, "shots"):  # its state is as long as a support set
            method = dataclasses.replace(method, shots=room)
        return method.init(self.prior)

    @property
    def share(self) -> float | None:
        """How much of the prior holds for the person; None: the method does not say."""
        told = self.adapted.get("share") if isinstance(self.adapted, dict) else None
        return None if told is None else float(told)

    def adapted_shapes(self, room: int) -> PyTree:
        """What adapting to `room` rows gives, as shapes, computed without arrays."""
        encoder = self.encoder
        one = (encoder.width,) if encoder.width else (*encoder.size, 3)
        kind = jnp.float32 if encoder.width else jnp.uint8
        return adapted_to.eval_shape(
            self.prior,
            self.feature_map,
            jax.ShapeDtypeStruct((room, *one), kind),
            jax.ShapeDtypeStruct((room,), jnp.float32),
            jax.ShapeDtypeStruct((room,), jnp.bool_),
            jax.random.key(0),
            personalizer=self.personalizer,
        )

    def store(self, content: Shaped[np.ndarray, "image ..."]) -> ImageStore:
        """What a personalizer reads, of what `encode` gave."""
        return store_of(self.feature_map, jnp.asarray(content))

    def open_cache(self, folder: AnyPath) -> FeatureCache | None:
        """The features of photographs seen before; None where none are computed."""
        if self.encoder.features is None or self.encoder.known is not None:
            return None
        encoder = self.encoder
        return FeatureCache(folder, trunk=encoder.identity, width=encoder.width)

    def to_stars(self, unit: Any) -> Any:
        """The prior's unit scores [image] as stars of `scale`."""
        (low, high), (least, most) = self.scale, self.prior_scale
        share = (unit * most - least) / (most - least)
        return (low + share * (high - low)).astype(np.float32)

    def save_taste(self, path: AnyPath) -> Path:
        """Writes what the ratings changed as a small file (`serve.taste`)."""
        from jiaa.serve import taste  # which reads models itself

        return taste.save(path, self)

    def to_unit(
        self, stars: Float[np.ndarray, " image"], *, count: int
    ) -> Float[np.ndarray, " image"]:
        """Stars of `scale` as the prior's unit scores.

        Raises:
          ValueError: not `count` of them, none, or some off the scale.
        """
        (low, high), (least, most) = self.scale, self.prior_scale
        if stars.shape != (count,) or not count:
            raise ValueError(
                f"stars of shape {stars.shape} for {count} photographs; expected one "
                "a photograph, and one photograph at least"
            )
        off = ~((stars >= low) & (stars <= high))
        if off.any():
            row = int(off.argmax())
            raise ValueError(
                f"photograph {row} has {stars[row]:g} stars; expected {low:g} to "
                f"{high:g}. Correct it, or load the model with scale=(low, high)"
            )
        share = (stars - low) / (high - low)
        return ((least + share * (most - least)) / most).astype(np.float32)


def predict_unit(model: Model, pixels: Array) -> Float[Array, " image"]:
    """Unit scores of pixels [image height width 3], traceable: for export and maps."""
    adapted = model.adapted
    if adapted is None:
        adapted = model.personalizer.init(model.prior)
    features = model.encoder.features
    content = pixels if features is None else features(pixels)
    return scores_of(
        model.prior,
        adapted,
        model.feature_map,
        content,
        personalizer=model.personalizer,
    )


def as_list(photos: Photos) -> list[Photo]:
    """One photograph or several as a list; folders become the photographs in them."""
    single = isinstance(photos, str | Path | Image.Image) or (
        isinstance(photos, np.ndarray) and photos.ndim == 3
    )
    listed: list[Any] = [photos] if single else list(photos)  # pyright: ignore
    result = []
    for photo in listed:
        folder = isinstance(photo, str | Path) and Path(photo).is_dir()
        result += find_photos([photo]) if folder else [photo]
    return result
