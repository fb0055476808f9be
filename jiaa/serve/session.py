"""One person rates one folder: the state behind the page, without any network.

Each rating is on the disk before it is answered, then learned from, and the next
photograph is chosen. A session that is started again on the same ratings.csv goes on.
"""

import functools
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from jiaa.data.images import AnyPath
from jiaa.personalize.active import Asker, Design
from jiaa.serve.album import Album
from jiaa.serve.asking import learned_from
from jiaa.serve.model import Model
from jiaa.serve.programs import capacity
from jiaa.serve.ratings import OwnRatings
from jiaa.serve.taste import save as save_taste
from jiaa.types import Episode, Examples

ROOM = 64  # ratings that the first compiled program holds; doubled before it is full
SHOWN = 12  # places of the ranking on the page
UNDONE = 8  # steps that are taken back at once; further ones replay the history


class Session:
    """Ratings of an album by one person, and the model that learns them.

    Thread-safe: each public method runs alone.
    """

    def __init__(
        self,
        model: Model,
        album: Album,
        content: Shaped[np.ndarray, "image ..."],
        *,
        ratings: AnyPath,
        taste: AnyPath | None = None,
        source: Sequence[str] = (),
        asker: Asker | None = None,
    ):
        """Goes on where `ratings` stops, and compiles what an update needs.

        Args:
          model: `scale` is that of the stars.
          album: the photographs.
          content: theirs, from `model.encode`.
          ratings: ratings.csv, read if it is there and rewritten at each rating.
          taste: where to keep the taste file as well.
          source: `learned_from` of that file (`taste.Info`).
          asker: chooses the questions, rows of the album; by default `Design` on the
            features that the model learns from.

        Raises:
          DataError: a ratings.csv with wrong rows, or with several people's.
        """
        self.album = album
        self._ratings = OwnRatings(ratings, scale=model.scale)
        self._model, self._taste = model, taste
        self._source = source
        self._store = model.store(content)
        self._rows = {name: row for row, name in enumerate(album.names)}
        self._lock = threading.RLock()
        self._seconds = 0.0
        designed = isinstance(asker, Design)
        self._design = asker if designed else Design.of(learned_from(model, content))
        self._asker: Asker = self._design if asker is None else asker
        here = [self._rows[name] for name in self._stars if name in self._rows]
        self._history: list[tuple[str, int]] = [("rate", row) for row in here]
        self._past: deque[tuple[Any, Any]] = deque(maxlen=UNDONE)
        room = max(ROOM, capacity(len(self._stars) + 1))
        self._program = self._compiled(room), room
        self._larger: threading.Thread | None = None
        self._update()
        self._before = self._ranks()
        self._warm_up()
        self._recall()
        self._asked = self._ask()

    def view(self) -> dict[str, Any]:
        """What the page shows: the question, why, the ranking and how it moved."""
        with self._lock:
            low, high = self._model.scale
            ranks = self._ranks()
            order = np.argsort(ranks)[:SHOWN]
            return {
                "scale": [round(low), round(high)],
                "photos": len(self.album),
                "rated": len(self._known.rated),
                "skipped": sum(kind == "skip" for kind, _ in self._history),
                "can_undo": bool(self._history),
                "milliseconds": round(1000 * self._seconds, 1),
                "question": self._question(),
                "moved": int(np.sum(ranks != self._before)),
                "ranking": [
                    {
                        "image": int(row),
                        "name": self.album.names[row],
                        "score": self._shown(int(row)),
                        "stars": self._stars.get(self.album.names[row]),
                        "up": int(self._before[row] - ranks[row]),
                    }
                    for row in order
                ],
            }

    def rate(self, image: int, stars: float | int) -> dict[str, Any]:
        """Keeps a rating, learns, and asks the next; a second one replaces the first.

        Raises:
          ValueError: no such photograph, or stars off the scale.
          OSError: ratings.csv cannot be written; nothing has changed then.
          FloatingPointError: the method diverged; the rating is kept.
        """
        with self._lock:
            started = time.perf_counter()
            name = self._name(image)
            low, high = self._model.scale
            if not low <= stars <= high:
                raise ValueError(f"{stars:g} stars; expected {low:g} to {high:g}")
            again = name in self._stars
            self._ratings.give(name, float(stars))
            self._history = [x for x in self._history if x != ("rate", image)]
            self._history.append(("rate", image))
            if again:
                self._recall()
            else:
                self._tell(image)
            return self._learn(started)

    def skip(self, image: int) -> dict[str, Any]:
        """Does not ask this photograph again in this session.

        Raises:
          ValueError: no such photograph.
        """
        with self._lock:
            self._name(image)
            if ("skip", image) not in self._history:
                self._history.append(("skip", image))
            self._asked = self._ask()
            return self.view()

    def undo(self) -> dict[str, Any]:
        """Takes back the last rating or skip, and asks that photograph again.

        Raises:
          ValueError: there is nothing to take back.
          OSError: ratings.csv cannot be written; nothing has changed then.
        """
        with self._lock:
            started = time.perf_counter()
            if not self._history:
                raise ValueError("nothing to undo")
            kind, image = self._history[-1]
            if kind == "rate":
                self._ratings.take_back(self._name(image))
            self._history.pop()
            if kind == "skip":
                self._asked = image
                return self.view()
            if self._past:
                self._known, self._state = self._past.pop()
            else:
                self._recall()
            return self._learn(started, ask=image)

    @property
    def _stars(self) -> dict[str, float]:
        return self._ratings.stars

    def _learn(self, started: float, *, ask: int | None = None) -> dict[str, Any]:
        self._before = self._ranks()
        self._update()
        self._asked = self._ask() if ask is None else ask
        self._seconds = time.perf_counter() - started
        if 4 * len(self._stars) >= 3 * self._program[1]:
            self._grow()
        return self.view()

    def _warm_up(self) -> None:
        """Compiles what chooses the questions, so that the first rating is fast too."""
        low, _ = self._model.scale
        known = self._design.tell(self._design.begin(), 0, low)
        self._design.next_images(known, 1)
        if self._asker is not self._design:
            state = self._asker.begin(key=jax.random.key(0))
            self._asker.next_images(self._asker.tell(state, 0, low), 1)

    def _recall(self) -> None:
        """What is known from the ratings of the history, and from nothing else."""
        self._known = self._design.begin()
        self._state = self._asker.begin(key=jax.random.key(0))
        for kind, image in self._history:
            if kind == "rate":
                self._tell(image)
        self._past.clear()

    def _tell(self, image: int) -> None:
        """Tells the kept rating of `image` to what chooses the questions."""
        self._past.append((self._known, self._state))
        stars = self._stars[self.album.names[image]]
        self._known = self._design.tell(self._known, image, stars)
        if self._asker is self._design:
            self._state = self._known
        else:
            self._state = self._asker.tell(self._state, image, stars)

    def _question(self) -> dict[str, Any] | None:
        if self._asked is None:
            return None
        why = self._design.reason(self._known, self._asked)
        return {
            "image": self._asked,
            "name": self.album.names[self._asked],
            "score": self._shown(self._asked),
            "designed": self._asker is self._design,
            "share": round(why.share, 4),
            "like": list(why.like),
        }

    def _shown(self, image: int) -> float:
        """Expected stars, on the scale: extremes of the model lie beyond its ends."""
        return round(float(np.clip(self._scores[image], *self._model.scale)), 2)

    def _ask(self) -> int | None:
        """The next question; None where all is answered or skipped."""
        skipped = {image for kind, image in self._history if kind == "skip"}
        found = self._asker.next_images(self._state, 1, without=skipped)
        return int(found[0]) if len(found) else None

    def _name(self, image: int) -> str:
        if not 0 <= image < len(self.album):
            raise ValueError(
                f"no photograph {image}; expected 0 to {len(self.album) - 1}"
            )
        return self.album.names[image]

    def _ranks(self) -> np.ndarray:
        """Each photograph's place, 0 the best."""
        ranks = np.empty(len(self._scores), np.int64)
        ranks[np.argsort(-self._scores, kind="stable")] = np.arange(len(ranks))
        return ranks

    def _support(self, room: int) -> Examples:
        """The ratings of photographs that are here, padded to `room`."""
        here = [(self._rows[n], s) for n, s in self._stars.items() if n in self._rows]
        ids, scores = np.zeros(room, np.int32), np.zeros(room, np.float32)
        mask = np.arange(room) < len(here)
        if here:
            rows, stars = zip(*here, strict=True)
            ids[: len(here)] = rows
            values = np.asarray(stars, np.float32)
            scores[: len(here)] = self._model.to_unit(values, count=len(here))
        return Examples(ids, scores, mask)

    def _update(self) -> None:
        """Learns all ratings anew, and scores all photographs."""
        if len(self._stars) > self._program[1]:
            self._grow()
            assert self._larger is not None
            self._larger.join()
        program, room = self._program
        support = self._support(room)
        adapted, unit = program(
            self._model.prior, self._store, support, jax.random.key(0)
        )
        rated = int(support.mask.sum())
        if not rated:
            adapted = self._model.personalizer.init(self._model.prior)
            unit = _predicted(
                self._model.prior,
                adapted,
                self._store,
                personalizer=self._model.personalizer,
            )
        scores = np.asarray(self._model.to_stars(np.asarray(unit)))
        if not np.isfinite(scores).all():
            raise FloatingPointError(
                f"learning {rated} ratings gave scores that are not finite. They are "
                "kept; start again with --method ridge"
            )
        self._scores = scores
        self._model = self._model.replace(
            adapted=adapted if rated else None, ratings=rated, room=room
        )
        if rated and self._taste is not None:
            save_taste(self._taste, self._model, learned_from=self._source)

    def _compiled(self, room: int) -> Any:
        """The program that learns up to `room` ratings."""
        return _learned.lower(
            self._model.prior,
            self._store,
            self._support(room),
            jax.random.key(0),
            personalizer=self._model.personalizer,
        ).compile()

    def _grow(self) -> None:
        """Compiles the program of twice as many ratings beside the person's work."""
        if self._larger is not None and self._larger.is_alive():
            return

        def compile_ahead(room: int) -> None:
            program = self._compiled(room)
            # One assignment: an update has the old pair or the new one.
            self._program = program, room

        self._larger = threading.Thread(
            target=compile_ahead, args=(2 * self._program[1],), daemon=True
        )
        self._larger.start()


@functools.partial(jax.jit, static_argnames="personalizer")
def _learned(prior, store, support, key, *, personalizer) -> tuple[Any, Array]:
    episode = Episode(jnp.zeros((), jnp.int32), support, support)
    adapted = personalizer.adapt(prior, episode, store, key=key)
    return adapted, _all_scores(prior, adapted, store, personalizer)


@functools.partial(jax.jit, static_argnames="personalizer")
def _predicted(prior, adapted, store, *, personalizer) -> Array:
    return _all_scores(prior, adapted, store, personalizer)


def _all_scores(prior, adapted, store, personalizer) -> Array:
    count = len(store)
    query = Examples(jnp.arange(count), jnp.zeros(count), jnp.ones(count, bool))
    return personalizer.predict(prior, adapted, query, store)
