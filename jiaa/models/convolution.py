"""The convolution that all backbones use, and the choice of its implementation.

`"mixed"` chooses for the output and for each gradient apart, by backend, by shape and
by whether the kernel carries a user axis (`convolution_mixed.CHOICES`); it takes one
group, or one for each channel (depthwise), and forward mode needs one of the other two.
`"library"` is XLA's own operator: on a CPU its gradients are very slow inside `scan`
and `map`, and a kernel that carries a user axis turns it into a grouped convolution.
`"patches"` gathers the windows by slices and multiplies them with the kernel as a
matrix: it costs the same inside a loop, and per-user kernels become a batched matrix
product. All can be mapped over, jitted and differentiated any number of times in
reverse.
"""

import dataclasses
import os
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jiaa.models import convolution_maps, convolution_mixed
from jiaa.models.convolution_maps import Pair, output_size, rows_of, window_slices

Padding = Pair | tuple[Pair, Pair]

ENVIRONMENT_VARIABLE = "JIAA_CONVOLUTION"


@dataclasses.dataclass(frozen=True)
class Rule:
    """Use `implementation` where all conditions hold; `None` holds everywhere.

    `evidence` says what decided it.
    """

    implementation: str
    evidence: str
    backend: str | None = None
    plain: bool | None = None

    def applies(self, backend: str, plain: bool) -> bool:
        """Whether this rule covers such a layer.

        `plain`: no dilation, and one group or as many as channels (depthwise).
        """
        return self.backend in (None, backend) and self.plain in (None, plain)


# The first rule that applies decides. No backbone has other groups, or dilation.
RULES = (
    Rule("mixed", "docs/speed_layers.md, row by row", plain=True),
    Rule("patches", "none: XLA may take a naive loop in scan", backend="cpu"),
    Rule("library", "none: what compilers for accelerators know"),
)


def choose_implementation(backend: str, *, plain: bool = True) -> str:
    """Name of the implementation that `RULES` give; `plain` as in `Rule.applies`."""
    return next(r.implementation for r in RULES if r.applies(backend, plain))


def _library(x, kernel, *, strides, padding, dilation, groups):
    options = {"rhs_dilation": dilation, "feature_group_count": groups}
    return convolution_maps.library(
        x, kernel, padding=padding, strides=strides, **options
    )


def _patches(x, kernel, *, strides, padding, dilation, groups):
    kernel_height, kernel_width, inputs, outputs = kernel.shape
    height, width = (
        output_size(x.shape[i + 1], (kernel.shape[i] - 1) * dilation[i] + 1, s, p)
        for i, (s, p) in enumerate(zip(strides, padding, strict=True))
    )
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    # First along the width, then along the height: 2k slices instead of k squared.
    for axis, window, count in ((2, kernel_width, width), (1, kernel_height, height)):
        i = axis - 1
        options = {"stride": strides[i], "dilation": dilation[i]}
        x = jnp.concatenate(
            window_slices(x, axis=axis, window=window, count=count, **options), axis=-1
        )
    if groups == 1:
        out = rows_of(x) @ kernel.reshape(-1, outputs)
        return out.reshape(*x.shape[:3], outputs)
    taps = kernel_height * kernel_width
    grouped = x.reshape(-1, taps, groups, inputs)
    matrices = kernel.reshape(taps, inputs, groups, outputs // groups)
    out = jnp.einsum("ntgi,tigo->ngo", grouped, matrices)
    return out.reshape(*x.shape[:3], outputs)


def _mixed(x, kernel, *, strides, padding, dilation, groups):
    depthwise = _is_depthwise(kernel, groups)
    if (groups != 1 and not depthwise) or dilation != (1, 1):
        raise ValueError(
            f"the mixed convolution takes one group, or a group and kernel a channel, "
            f"without dilation; got groups {groups}, dilation {dilation}: use "
            "'patches' or 'library'"
        )
    options = {"strides": strides, "padding": padding, "depthwise": depthwise}
    return convolution_mixed.convolve(x, kernel, **options)


def _is_depthwise(kernel, groups):
    return groups > 1 and kernel.shape[2:] == (1, groups)


IMPLEMENTATIONS: dict[str, Callable[..., Array]] = {
    "mixed": _mixed,
    "library": _library,
    "patches": _patches,
}


def convolve(
    x: Float[Array, "image height width channel"],
    kernel: Float[Array, "kernel_height kernel_width group_channel feature"],
    *,
    strides: Pair = (1, 1),
    padding: Padding = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
    implementation: str | None = None,
) -> Float[Array, "image out_height out_width feature"]:
    """Cross-correlation of NHWC maps with an HWIO kernel, as in torch's `Conv2d`.

    `padding` is (height, width), the same on both sides, or ((top, bottom), (left,
    right)). `implementation` overrides the environment variable JIAA_CONVOLUTION (read
    when the call is traced), which overrides `RULES`. Raises ValueError for an unknown
    implementation, channels that do not fit, and maps smaller than the kernel.
    """
    plain = groups == 1 or _is_depthwise(kernel, groups)
    plain = plain and tuple(dilation) == (1, 1)
    name = implementation or os.environ.get(ENVIRONMENT_VARIABLE)
    name = name or choose_implementation(jax.default_backend(), plain=plain)
    if name not in IMPLEMENTATIONS:
        raise ValueError(
            f"unknown convolution {name!r}; expected one of {sorted(IMPLEMENTATIONS)} "
            f"as `implementation` or in {ENVIRONMENT_VARIABLE}"
        )
    if x.shape[-1] != groups * kernel.shape[2] or kernel.shape[3] % groups:
        raise ValueError(
            f"kernel {kernel.shape} in {groups} group(s) does not fit {x.shape[-1]} "
            "channels; expected (height, width, channels / groups, multiple of groups)"
        )
    pads = tuple((p, p) if isinstance(p, int) else p for p in padding)
    for i in range(2):
        window = (kernel.shape[i] - 1) * dilation[i] + 1
        output_size(x.shape[i + 1], window, strides[i], pads[i])
    return IMPLEMENTATIONS[name](
        x, kernel, strides=strides, padding=pads, dilation=dilation, groups=groups
    )


class Conv(nn.Module):
    """Convolution layer with params `kernel` (HWIO) and, unless switched off, `bias`.

    Parameters are float32; `dtype` is what is computed in (`None`: the input's).
    """

    features: int
    kernel_size: Pair
    strides: Pair = (1, 1)
    padding: Padding = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    use_bias: bool = True
    dtype: DTypeLike | None = None
    implementation: str | None = None
    kernel_init: Callable[..., Array] = nn.initializers.he_normal()

    @nn.compact
    def __call__(
        self, x: Float[Array, "image height width channel"]
    ) -> Float[Array, "image out_height out_width feature"]:
        """Maps of `features` channels."""
        shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        dtype = self.dtype or x.dtype
        out = convolve(
            x.astype(dtype),
            kernel.astype(dtype),
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            implementation=self.implementation,
        )
        if not self.use_bias:
            return out
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return out + bias.astype(dtype).reshape(1, 1, 1, -1)
