"""nu-support vector regression, solved for many users, splits and settings at once.

PAM (ICCV 2017), eq. 3, after Chang and Lin, "Training nu-support vector regression",
Neural Computation 2002. In the coefficients beta = alpha - alpha* of the n ratings the
dual is

    minimise 1/2 beta' K beta - y' beta   over   sum beta = 0, |beta_i| <= C,
                                                 sum |beta_i| <= C nu n

(C as in libsvm and scikit-learn: eq. 3's divided by n). The alternating direction
method of multipliers takes turns between the quadratic, whose matrix K + rho I is
inverted once for all masks, targets, C and nu that share a kernel, and a projection on
the constraints. A few turns tell which coefficients lie between their bounds; a linear
system of these alone (a primal-dual active set step) then gives the solution to
rounding, which the duality gap certifies, or else the turns go on from there.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jiaa.personalize.kernels import RHO, Prepared, prepare
from jiaa.types import value

RELAXATION = 1.6  # over-relaxation of the turns, in (0, 2)
FIRST_TURNS = 12
WARM_TURNS = 4  # where coefficients are given to start from
MORE_TURNS = 4  # each time that an active set step did not do
# Keeps a rank-deficient kernel's system solvable; it pulls to the last iterate, so the
# solution is not moved.
PROXIMAL = 1e-4
ROOT_STEPS = 60  # at most: two to ten do from the root of the turn before
BOUND = 1e-5  # nearer to a bound than this share of C, a coefficient is at it


@value
class SupportVectors:
    """A fitted machine: f(x) = sum_i coefficients_i k(x_i, x) + offset.

    `tube` is epsilon of eq. 3. `gap` is the duality gap, which bounds how far the
    objective is from its optimum, as a share of C sum |y - mean y|.
    """

    coefficients: Float[Array, "*batch rating"]
    offset: Float[Array, "*batch"]
    tube: Float[Array, "*batch"]
    gap: Float[Array, "*batch"]


class _Problem(NamedTuple):
    """What stays fixed while one machine is fitted; `kernel` is the centred one.

    `c` holds each rating's bound, 0 outside of the mask; `half` is nu sum(c) / 2.
    """

    kernel: Array
    inverse: Array
    rho: Array
    targets: Array
    mask: Array
    c: Array
    half: Array


class _State(NamedTuple):
    """`coefficients` are feasible; `dual` is ADMM's, in units of rho."""

    coefficients: Array
    dual: Array
    roots: Array
    best: SupportVectors
    round: Array


class _Search(NamedTuple):
    """A root is between `low` and `high`; at `at` the sum exceeds it by `excess`."""

    low: Array
    high: Array
    at: Array
    excess: Array
    inside: Array
    before: Array
    step: Array | int


@functools.partial(jax.jit, static_argnames=("gap", "rounds"))
def fit_nu_svr(
    kernel: Float[Array, "rating rating"] | Prepared,
    targets: Float[Array, " rating"],
    *,
    mask: Bool[Array, " rating"],
    weights: Float[Array, " rating"] | None = None,
    c: float | Float[Array, ""] = 1.0,
    nu: float | Float[Array, ""] = 0.5,
    gap: float = 1e-7,
    rounds: int = 40,
    start: Float[Array, " rating"] | None = None,
) -> SupportVectors:
    """The machine of the masked ratings; `vmap` over any arguments.

    Where the kernel has no batch axis (a user's splits, folds, C and nu), its inverse
    is computed once and the turns are matrix products.

    Args:
      kernel: K, symmetric and positive semi-definite. All ratings, masked or not, must
        have finite entries. Or what `prepare` gave of it, for use inside loops.
      targets: y; those outside of the mask are not read.
      mask: the ratings to learn from. None at all gives f = 0.
      weights: factors of each rating's C, such as how often a bootstrap drew it; 0 is
        as good as a mask of False. By default 1.
      c: upper bound C of a coefficient, above 0.
      nu: least share of support vectors, in (0, 1].
      gap: the duality gap to stop at, in the unit of `SupportVectors.gap`.
      start: coefficients to begin with, such as those of one rating less.
      rounds: active set steps after which to give up; `SupportVectors.gap` tells.
    """
    problem, level = _problem(kernel, targets, mask=mask, weights=weights, c=c, nu=nu)
    spread = _spread(problem)
    begun = _begin(problem, start)

    def go_on(state):
        enough = jnp.maximum(gap, _rounding(problem, state.best.coefficients) / spread)
        return (state.best.gap > enough) & (state.round < rounds)

    first = FIRST_TURNS if start is None else WARM_TURNS
    advance = functools.partial(_advance, problem, spread, first)
    found = _with_offset(problem, jax.lax.while_loop(go_on, advance, begun).best)
    offset = found.offset - level @ found.coefficients
    return dataclasses.replace(found, offset=offset)


def _problem(kernel, targets, *, mask, weights, c, nu):
    prepared = kernel if isinstance(kernel, Prepared) else prepare(kernel)
    if weights is not None:
        mask = mask & (weights > 0)
        c = c * weights
    c = jnp.where(mask, jnp.asarray(c, prepared.kernel.dtype), 0.0)
    half = 0.5 * nu * jnp.sum(c)
    targets = jnp.where(mask, targets, 0.0)
    shared = prepared.centred, prepared.inverse, prepared.rho
    return _Problem(*shared, targets, mask, c, half), prepared.level


def _begin(problem: _Problem, start) -> _State:
    """Nothing known, or the coefficients `start`."""
    zeros = jnp.zeros_like(problem.targets)
    zero = zeros[0]
    nothing = SupportVectors(zeros, zero, zero, jnp.full_like(zero, 1e30))
    at = zeros if start is None else jnp.where(problem.mask, start, 0.0)
    dual = zeros if start is None else _dual(problem, at)
    return _State(at, dual, jnp.zeros(3, zeros.dtype), nothing, jnp.int32(0))


def _dual(problem: _Problem, coefficients):
    """ADMM's, where the coefficients are the solution."""
    return (problem.targets - problem.kernel @ coefficients) / problem.rho


def _advance(problem: _Problem, spread, first, state: _State) -> _State:
    """Some turns, and an active set step from where they end."""
    turns = first + MORE_TURNS * state.round
    turn = lambda _, turning: _turn(problem, turning)  # noqa: E731
    turned = jax.lax.fori_loop(0, turns, turn, state[:3])
    at, dual, roots = turned
    solved, cut = _active_set_step(problem, at, at + dual, roots)
    best = _better(problem, state.best, at, roots, spread=spread)
    found = _better(problem, best, solved, cut, spread=spread)
    # The step may fail far from the solution: the turns then go on as they were.
    taken = found.gap < best.gap
    reached = solved, _dual(problem, solved), cut
    at, dual, roots = (
        jnp.where(taken, new, old) for new, old in zip(reached, turned, strict=True)
    )
    return _State(at, dual, roots, found, state.round + 1)


def _better(problem: _Problem, best, coefficients, roots, *, spread):
    found = _certified(problem, coefficients, _thresholds(roots), spread)
    better = found.gap < best.gap
    return jax.tree.map(lambda new, old: jnp.where(better, new, old), found, best)


def _turn(problem: _Problem, state):
    """One turn of ADMM: the quadratic's minimum, then the nearest feasible point."""
    at, dual, roots = state
    pulled = problem.targets + problem.rho * (at - dual)
    smooth = problem.inverse @ pulled
    mixed = RELAXATION * smooth + (1 - RELAXATION) * at + dual
    projected, roots = _project(problem, mixed, roots)
    return projected, mixed - projected, roots


def _project(problem: _Problem, values, near):
    """The feasible point nearest to `values`, and the roots that give it.

    Positive and negative parts each have a budget of C nu n / 2, which a threshold of
    their own meets; where that is not used up, one threshold serves both: the offset of
    a machine without a tube. The roots are upper, minus lower, and single.
    """
    sides = jnp.stack([values, -values, values])
    floor = jnp.stack([*(2 * [jnp.zeros_like(problem.c)]), -problem.c])
    half = problem.half
    total = jnp.stack([half, half, jnp.zeros_like(half)])
    roots = _roots(problem, sides, near, floor=floor, total=total)
    upper, lower = _thresholds(roots)
    above = jnp.clip(values - upper, 0.0, problem.c)
    below = jnp.clip(lower - values, 0.0, problem.c)
    return jnp.where(problem.mask, above - below, 0.0), roots


def _thresholds(roots):
    """Upper, lower: coefficients are clip(v - upper, 0, C) - clip(lower - v, 0, C)."""
    upper, lower, single = roots[0], -roots[1], roots[2]
    tube = upper > lower
    return jnp.stack([jnp.where(tube, x, single) for x in (upper, lower)])


def _roots(problem: _Problem, values, near, *, floor, total):
    """Each row's t with sum_i clip(v_i - t, floor, C) = total, sought from `near`.

    The sum falls with t and is piecewise linear: a Newton step is exact once no kink
    lies between. With a small C it is a staircase, on which Newton's steps creep: where
    the excess has not halved, a step of bisection follows.
    """
    mask, c = problem.mask[None], problem.c[None]
    low = jnp.min(jnp.where(mask, values - c, jnp.inf), axis=1)
    high = jnp.max(jnp.where(mask, values - floor, -jnp.inf), axis=1)
    some = jnp.any(mask)
    low, high = jnp.where(some, low, 0.0), jnp.where(some, high, 0.0)
    real = problem.mask.astype(values.dtype)

    tolerance = 4 * jnp.finfo(values.dtype).eps * (problem.half + jnp.max(c))

    def missing(at):
        gaps = values - at[:, None]
        clipped = jnp.clip(gaps, floor, c)
        # Products, because XLA sums along the last axis one number at a time on a CPU.
        inside = (gaps == clipped).astype(values.dtype) @ real
        return clipped @ real - total, inside

    def go_on(search):
        return (search.step < ROOT_STEPS) & jnp.any(jnp.abs(search.excess) > tolerance)

    def advance(search):
        at, excess = search.at, search.excess
        low = jnp.where(excess >= 0, at, search.low)
        high = jnp.where(excess <= 0, at, search.high)
        newton = at + excess / jnp.maximum(search.inside, 1)
        size = jnp.abs(excess)
        usable = (search.inside > 0) & (newton >= low) & (newton <= high)
        usable &= size <= 0.5 * search.before
        at = jnp.where(usable, newton, 0.5 * (low + high))
        before = jnp.where(usable, size, jnp.inf)
        excess, inside = missing(at)
        return _Search(low, high, at, excess, inside, before, search.step + 1)

    at = jnp.clip(near, low, high)
    excess, inside = missing(at)
    begun = _Search(low, high, at, excess, inside, jnp.full_like(at, jnp.inf), 0)
    return jax.lax.while_loop(go_on, advance, begun).at


def _active_set_step(problem: _Problem, at, values, roots):
    """Solves for the coefficients strictly between their bounds, the others kept there.

    `values` and `roots` tell which are which, as in `_project`.
    """
    mask, c, thresholds = problem.mask, problem.c, _thresholds(roots)
    (upper, lower), tube = thresholds, thresholds[0] > thresholds[1]
    free_up = mask & (values > upper) & (values < upper + c)
    free_down = mask & (values < lower) & (values > lower - c) & ~free_up
    bound = jnp.where(mask & (values >= upper + c), c, 0.0)
    bound = bound - jnp.where(mask & (values <= lower - c), c, 0.0)
    free = free_up | free_down
    # Without a tube one threshold serves both sides.
    groups = jnp.stack([jnp.where(tube, free_up, free), free_down & tube], axis=1)
    up, down = (jnp.sum(jnp.clip(x, 0.0, c)) for x in (bound, -bound))
    budgets = jnp.stack([problem.half - up, down - problem.half])
    budgets = jnp.where(tube, budgets, jnp.stack([down - up, jnp.zeros_like(up)]))

    # The centred kernel is singular where all are free; their sum is known, so a
    # constant may be added to it.
    level = problem.rho / RHO
    weak = PROXIMAL * level
    pairs = free[:, None] & free[None, :]
    system = jnp.where(pairs, problem.kernel + level, 0.0)
    system = system + jnp.diag(jnp.where(free, weak, 1.0))
    goal = problem.targets - problem.kernel @ bound + weak * at + level * (down - up)
    sides = jnp.concatenate([jnp.where(free, goal, 0.0)[:, None], groups], axis=1)
    factor = jax.scipy.linalg.cho_factor(system)
    solved = jax.scipy.linalg.cho_solve(factor, sides)
    share = groups.T.astype(solved.dtype) @ solved
    # An empty group leaves its threshold where it was.
    empty = ~jnp.any(groups, axis=0)
    ((a, b), (d, e)), (f, g) = share[:, 1:], share[:, 0] - budgets
    a, e = jnp.where(empty[0], 1.0, a), jnp.where(empty[1], 1.0, e)
    f, g = jnp.where(empty, problem.rho * thresholds, jnp.stack([f, g]))
    cut = jnp.stack([f * e - b * g, a * g - d * f]) / (a * e - b * d)
    cut = jnp.where(tube | (jnp.arange(2) == 0), cut, cut[0])
    raw = solved[:, 0] - solved[:, 1:] @ cut + bound
    projected, _ = _project(problem, raw, jnp.zeros_like(roots))
    cut = cut / problem.rho
    return projected, jnp.stack([cut[0], -cut[1], 0.5 * (cut[0] + cut[1])])


def _spread(problem: _Problem):
    """C times the absolute deviations from the mean: what the gap is measured against.

    It is the objective of f = mean without a tube. Targets that are all the same leave
    rounding, which is not to be told from a gap.
    """
    total = jnp.sum(problem.c)
    middle = jnp.sum(problem.c * problem.targets) / jnp.where(total > 0, total, 1.0)
    away = jnp.sum(problem.c * jnp.abs(problem.targets - middle))
    info = jnp.finfo(away.dtype)
    floor = 100 * info.eps * total * jnp.max(jnp.abs(problem.targets))
    return jnp.maximum(away, jnp.maximum(floor, info.tiny))


def _rounding(problem: _Problem, coefficients):
    """What rounding of the residuals may add to the gap: below it is no progress."""
    size = problem.rho / RHO * jnp.sqrt(jnp.sum(coefficients**2))
    size = 2.0 * (size + jnp.max(jnp.abs(problem.targets)))
    return jnp.finfo(coefficients.dtype).eps * jnp.sum(problem.c) * size


def _loss(problem: _Problem, residual, tube):
    """C (nu n tube + sum of what the residuals exceed the tube by): of the primal."""
    beyond = jnp.maximum(jnp.abs(residual) - tube, 0.0)
    return jnp.sum(problem.c * beyond) + 2.0 * problem.half * tube


def _certified(problem: _Problem, coefficients, thresholds, spread) -> SupportVectors:
    """The machine with its duality gap; any offset and tube give a bound."""
    offset = problem.rho * jnp.mean(thresholds)
    tube = 0.5 * problem.rho * jnp.maximum(thresholds[0] - thresholds[1], 0.0)
    scores = problem.kernel @ coefficients
    residual = problem.targets - scores - offset
    gap = coefficients @ (scores - problem.targets) + _loss(problem, residual, tube)
    # The gap is one for feasible coefficients; what they lack is added, as a price.
    excess = jnp.sum(jnp.abs(coefficients)) - 2.0 * problem.half
    lack = jnp.abs(jnp.sum(coefficients)) + jnp.maximum(excess, 0.0)
    gap = (jnp.abs(gap) + lack * jnp.max(jnp.abs(problem.targets))) / spread
    return SupportVectors(coefficients, offset, tube, gap)


def _with_offset(problem: _Problem, found: SupportVectors) -> SupportVectors:
    """Offset and tube where the coefficients leave them open, as in libsvm.

    A rating whose coefficient lies between its bounds lies on the tube's edge. Where
    there is none, the edge is the middle of what the other ratings allow.
    """
    residual = problem.targets - problem.kernel @ found.coefficients
    edges = found.offset + found.tube, found.offset - found.tube
    upper = _edge(problem, residual, found.coefficients, edges[0])
    lower = -_edge(problem, -residual, -found.coefficients, -edges[1])
    tube = jnp.maximum(0.5 * (upper - lower), 0.0)
    return SupportVectors(found.coefficients, 0.5 * (upper + lower), tube, found.gap)


def _edge(problem: _Problem, residual, coefficients, edge):
    """The residual at which positive coefficients begin: offset + tube, here `edge`."""
    mask, c = problem.mask, problem.c
    some, full = coefficients > BOUND * c, coefficients >= (1 - BOUND) * c
    low = jnp.max(jnp.where(mask & ~some, residual, -jnp.inf))
    high = jnp.min(jnp.where(mask & full, residual, jnp.inf))
    middle = 0.5 * (low + high)
    open_ = ~jnp.any(mask & some & ~full) & jnp.isfinite(middle)
    return jnp.where(open_, middle, edge)
