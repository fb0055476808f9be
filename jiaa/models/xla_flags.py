"""XLA's flags that jiaa sets, each given only to a jaxlib that knows it.

XLA ends a process whose XLA_FLAGS name one that its jaxlib does not know.

    python -m jiaa.models.xla_flags    # the flags that compile fast here, for XLA_FLAGS
"""

from importlib.metadata import version

# To whom convolutions, sums and matrix products go on a CPU: YNNPACK or Eigen.
LIBRARIES = "--xla_cpu_experimental_ynn_fusion_type"
# What knows each flag was tried out: jaxlib 0.10.2 and 0.12.0.1.
JAXLIBS = {
    LIBRARIES: ("0.10.", "0.12."),
    "--xla_backend_optimization_level": ("0.10.", "0.12."),
    "--xla_cpu_use_fusion_emitters": ("0.10.",),
}
# Programs that run once, as the tests' do: faster to compile, slower to run.
FAST_COMPILATION = {
    "--xla_backend_optimization_level": "0",
    "--xla_cpu_use_fusion_emitters": "false",
}


def is_known(flag: str) -> bool:
    """Whether the installed jaxlib is one that is known to know `flag`."""
    return version("jaxlib").startswith(JAXLIBS[flag])


def fast_compilation() -> str:
    """`FAST_COMPILATION` for XLA_FLAGS, less what the installed jaxlib lacks."""
    known = {f: value for f, value in FAST_COMPILATION.items() if is_known(f)}
    return " ".join(f"{flag}={value}" for flag, value in known.items())


if __name__ == "__main__":
    print(fast_compilation())
