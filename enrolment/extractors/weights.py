"""Files of weights that come inside installed packages.

The packages themselves are not imported: `face-recognition-models` needs a module that
setuptools no longer has.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Final

from biometrics.errors import ConfigurationError

PACKAGE: Final = "face-recognition-models"
FACE_NETWORK: Final = "dlib_face_recognition_resnet_model_v1.dat"
FIVE_POINTS: Final = "shape_predictor_5_face_landmarks.dat"


def locate(name: str) -> Path:
    """Return where a file of `PACKAGE` is.

    Never asked for the 68-point predictor, which lies there too: what it was trained
    on may not be used commercially.

    Raises:
        ConfigurationError: the package is not installed, or has no such file.
    """
    try:
        found = [each for each in files(PACKAGE) or () if each.name == name]
    except PackageNotFoundError:
        found = []
    for each in found:
        path = Path(str(each.locate()))
        if path.is_file():
            return path
    raise ConfigurationError(
        "EXTRA_MISSING",
        f"faces need `{name}` of {PACKAGE}: `pip install"
        " 'regional-biometrics-exchange[face]'`",
    )
