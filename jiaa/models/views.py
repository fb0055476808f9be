"""How a store's content becomes a model's input, to learn from or to predict."""

import dataclasses

from jaxtyping import Array, Float, Key, Shaped

from jiaa.data import images
from jiaa.models.pretrained import PretrainedSpec


@dataclasses.dataclass(frozen=True)
class ImageView:
    """uint8 images -> normalised float images of the size that a backbone expects.

    Learning sees one random crop, flipped at random, per image; predicting sees the
    whole image resized (released BLG-PIAA program: 256 -> 224 crops, queries resized).
    With `size` None the store's own size and shape are kept; only with a square's side
    is anything cropped.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: images.Size | None
    augment: bool = True

    @classmethod
    def of(
        cls,
        spec: PretrainedSpec,
        *,
        size: images.Size | None = None,
        augment: bool = True,
    ):
        """The view of a backbone's own preprocessing, at its or another size."""
        return cls(spec.mean, spec.std, size or spec.image_size, augment)

    def learning(
        self, content: Shaped[Array, "image height width 3"], *, key: Key[Array, ""]
    ) -> Float[Array, "image out_height out_width 3"]:
        """Augmented inputs; the whole image where `augment` is off."""
        if not self.augment or not isinstance(self.size, int):
            return self.predicting(content)
        views = images.training_view(content, size=self.size, key=key)
        return images.normalise(views, mean=self.mean, std=self.std)

    def predicting(
        self, content: Shaped[Array, "image height width 3"]
    ) -> Float[Array, "image out_height out_width 3"]:
        """The whole image, resized."""
        views = content
        if self.size is not None:
            views = images.evaluation_view(content, size=self.size)
        return images.normalise(views, mean=self.mean, std=self.std)


@dataclasses.dataclass(frozen=True)
class FeatureView:
    """Features of a frozen trunk are the head's input as they are."""

    augment: bool = dataclasses.field(default=False, init=False)

    def learning(
        self, content: Float[Array, "image feature"], *, key: Key[Array, ""]
    ) -> Float[Array, "image feature"]:
        """The features."""
        del key
        return content

    def predicting(
        self, content: Float[Array, "image feature"]
    ) -> Float[Array, "image feature"]:
        """The features."""
        return content


View = ImageView | FeatureView
