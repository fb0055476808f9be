"""Every notebook runs from nothing, in a kernel of this interpreter."""

import os
import time
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# Every line runs as it stands, but for these numbers of what is drawn, of steps and of
# layers.
SHORTER = {
    "collaborative": {
        "images=240, users=60": "images=60, users=12",
        "from jiaa.models.pretrained import VGG16_SPEC": (
            "from jiaa.models.pretrained import VGG16_SPEC\n"
            "from jiaa.models.backbones import vgg\n"
            "vgg.BLOCKS = ((1,), (2,), (4,))"
        ),
        "num_steps=300": "num_steps=5",
        "shots=(5, 20)": "shots=(5,)",
        "repeats=3": "repeats=2",
    },
    "live_rater": {
        '"train_users": 60': '"train_users": 8',
        '"train_images": 1500': '"train_images": 150',
        "range(6)": "range(2)",
    },
    "meta_learning": {
        "SEED = 0": (
            "SEED = 0\nfrom jiaa.models.backbones import resnet\nresnet.BLOCKS = (1,)"
        ),
        "train_users=100": "train_users=8",
        "test_users=12": "test_users=4",
        "train_images=3000": "train_images=200",
        "TRUNK_STEPS = 250": "TRUNK_STEPS = 10",
        "range(300)": "range(3)",
        "ITERATIONS = 800": "ITERATIONS = 4",
        "ITERATIONS = 600": "ITERATIONS = 4",
        "per_dispatch=50": "per_dispatch=2",
        "repeats=10": "repeats=2",
    },
    "personality": {
        "STEPS = 0, 300": (
            "STEPS = 0, 2\nfrom jiaa.models.backbones import resnet\n"
            "resnet.BLOCKS = (1,)"
        ),
        "batch_size=64": "batch_size=4",
        '"train_users": 60': '"train_users": 8',
        '"test_users": 8': '"test_users": 3',
        "2500": "150",
        "users=300, images=4000, shown=400, likes=80": (
            "users=20, images=100, shown=30, likes=5"
        ),
        '"width": 8': '"width": 4',
        "shots=(10, 50)": "shots=(10,)",
        "repeats=20": "repeats=2",
    },
}

every_notebook = pytest.mark.parametrize(
    "path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS]
)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shorten(notebook, name):
    """Changes the numbers of `SHORTER` in the notebook; each must be there."""
    for old, new in SHORTER[name].items():
        cells = [cell for cell in code_cells(notebook) if old in cell.source]
        assert cells, f"{name} no longer says {old!r}; change SHORTER with it"
        for cell in cells:
            cell.source = cell.source.replace(old, new)


class OwnKernel(AsyncKernelManager):
    """A kernel of this interpreter, whatever "python3" means to other Jupyters here."""

    def __init__(self, **options):
        # With no folders to search, "python3" is this interpreter's ipykernel.
        own = KernelSpecManager(kernel_dirs=[])
        super().__init__(kernel_spec_manager=own, **options)


def test_there_are_notebooks():
    names = ["collaborative", "live_rater", "meta_learning", "personality"]
    assert [path.stem for path in NOTEBOOKS] == names


@every_notebook
def test_a_stored_notebook_is_valid_and_holds_no_outputs(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    for cell in code_cells(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.longest
@every_notebook
def test_a_notebook_runs_from_nothing_without_errors_or_warnings(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    shorten(notebook, path.stem)
    # Elsewhere than the repository, and with or without jiaa installed.
    (cwd := tmp_path / "elsewhere").mkdir()
    inherited = os.environ.get("PYTHONPATH", "")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), inherited))),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "MPLCONFIGDIR": str(tmp_path / "matplotlib"),
    }
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        kernel_manager_class=OwnKernel,
        timeout=300,
        resources={"metadata": {"path": str(cwd)}},
    )
    started = time.perf_counter()
    client.execute(env=environment)  # raises the first error of a cell
    print(f"{path.name}: {time.perf_counter() - started:.0f} s")

    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    stderr = "".join(o.text for o in outputs if o.get("name") == "stderr")
    assert "Warning" not in stderr, stderr
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert list(cwd.iterdir()) == []
