"""What a figure was measured on, told without starting JAX or PyTorch."""

import contextlib
import importlib.metadata
import os
import platform
import subprocess

from scripts._gpu.lines import Line

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "jaxtyping", "torch")
QUERY = "name,driver_version,memory.total"
WAIT = 20  # seconds: a driver that hangs must not take the benchmark with it


def facts() -> Line:
    """Fields for every line: the GPU, its driver, cores, and versions."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    gpu, driver = first_gpu()
    return {"gpu": gpu, "driver": driver, "cores": cores(), "versions": found}


def cores() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def first_gpu() -> tuple[str | None, str | None]:
    """(name and memory, driver) of the first GPU that nvidia-smi lists, or Nones."""
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=WAIT, check=True
        )
        name, driver, memory = (
            x.strip() for x in done.stdout.splitlines()[0].split(",")
        )
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None, None
    return f"{name}, {memory}", driver
