"""What chooses the questions for a user who answers."""

from collections.abc import Collection
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Int, Key


@runtime_checkable
class Asker(Protocol):
    """Chooses the questions about the images of one album, which are its rows.

    States are values: `tell` returns a new one.
    """

    def begin(self, *, key: Key[Array, ""]) -> Any:
        """The state before any rating."""
        ...

    def next_images(
        self, state: Any, n: int, *, without: Collection[int] = ()
    ) -> Int[Any, " next"]:
        """Up to `n` rows to ask, best first; none that was told, nor of `without`."""
        ...

    def tell(self, state: Any, image: int, stars: float) -> Any:
        """The state after the user gave `image` these stars; a second one replaces."""
        ...
