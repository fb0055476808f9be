"""Data flows one way: a stage imports only itself and stages to its left.

The order is `jiaa.STAGES`.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import jiaa

PACKAGE = Path(jiaa.__file__).parent
ROOT = PACKAGE.parent
FILES = sorted(PACKAGE.rglob("*.py"))
RANKS = {stage: rank for rank, stage in enumerate(jiaa.STAGES)}
# What stands to the right of the package altogether.
OUTSIDE = {"configs", "scripts", "notebooks", "tests", "contracts"}


def _stage(module: str) -> str:
    """Stage of a dotted module of jiaa; empty for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[str]:
    """Absolute dotted names of all imports, those inside functions included."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                kept = parents[: len(parents) - node.level + 1]
                base = ".".join([*kept, base] if base else kept)
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and node.args
            and ast.unparse(node.func) in ("importlib.import_module", "__import__")
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value)


def _violations(source: str, module: str, *, is_package: bool) -> list[str]:
    """Imports of `module` that go to the right."""
    own = _stage(module)
    found = []
    imported = _imported(ast.parse(source), module, is_package=is_package)
    for name in imported:
        top = name.partition(".")[0]
        if top in OUTSIDE and own != "cli":
            found.append(name)
        if top != "jiaa" or not own:
            continue
        stage = _stage(name)
        allowed = stage == own or RANKS.get(stage, -1) < RANKS[own]
        if not allowed:
            found.append(name)
    return found


def _loaded_stages(statement: str) -> set[str]:
    """Stages in `sys.modules` of a fresh interpreter after `statement`."""
    code = (
        f"{statement}\nimport sys\n"
        "print(*{m.split('.')[1] for m in sys.modules if m.startswith('jiaa.')})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(result.stdout.split())


def test_every_stage_has_a_place_in_the_order():
    here = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    here |= {path.parent.name for path in PACKAGE.glob("*/*.py")}
    assert here <= set(RANKS), f"stages without a place: {here - set(RANKS)}"


@pytest.mark.parametrize(
    "path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES]
)
def test_a_stage_imports_only_stages_to_its_left(path):
    wrong = _violations(
        path.read_text(), _module_name(path), is_package=path.name == "__init__.py"
    )
    assert not wrong, f"{path.relative_to(ROOT)} imports to its right: {wrong}"


@pytest.mark.parametrize(
    "source",
    [
        "from jiaa.train import state",
        "import jiaa.meta.inner",
        "from jiaa import evaluate",
        "from .. import train",
        "from ..train.state import create",
        "def f():\n    from jiaa.cli import main",
        "import importlib\nimportlib.import_module('jiaa.serve')",
        "from configs import common",
    ],
)
def test_an_import_to_the_right_is_found_in_every_spelling(source):
    assert _violations(source, "jiaa.models.heads", is_package=False)


@pytest.mark.parametrize(
    "source",
    ["from jiaa.types import Ratings", "from . import convolution", "import jax"],
)
def test_an_import_to_the_left_is_allowed(source):
    assert not _violations(source, "jiaa.models.heads", is_package=False)


def test_importing_the_package_loads_no_stage():
    assert _loaded_stages("import jiaa") == set()


@pytest.mark.parametrize("stage", [s for s in jiaa.STAGES if s != "cli"])
def test_importing_a_stage_loads_nothing_to_its_right(stage):
    loaded = _loaded_stages(f"import jiaa.{stage}")
    right = {s for s in loaded if RANKS[s] > RANKS[stage]}
    assert not right


def test_a_stage_is_an_attribute_of_the_package():
    assert _loaded_stages("import jiaa; jiaa.types") == {"types"}


FORBIDDEN = (
    # Machine paths and package index addresses; spelt apart, so as not to find itself.
    *(f"/{name}/" for name in ("work", "farm", "root", "home")),
    "/simple" + "/",
    "pypi" + ".org",
)
TEXT = {".py", ".md", ".toml", ".txt", ".yaml", ".ipynb", ".json", ".csv", ""}


def _project_files() -> list[Path]:
    """Files that git tracks or would; empty outside a repository."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    paths = (ROOT / line for line in listing.splitlines())
    return [path for path in paths if path.is_file() and path.suffix in TEXT]


def test_no_file_names_a_machine_path_or_a_package_index():
    files = _project_files()
    if not files:
        pytest.skip("not a git checkout, so which files belong cannot be told")
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in files
        for word in FORBIDDEN
        if word in path.read_text(errors="replace")
    ]
    assert not found
