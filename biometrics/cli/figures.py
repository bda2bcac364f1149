"""What commands draw pictures with: an extra, which is loaded when one is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.errors import ConfigurationError
from biometrics.files import cannot_write

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure


def figures() -> type[Figure]:
    """Return what makes figures.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            "EXTRA_MISSING",
            "pictures need matplotlib; install it with `pip install"
            " 'regional-biometrics-exchange[pictures]'`",
        ) from error
    return Figure


def refuse_other_name(path: Path) -> None:
    """Refuse a name that is no picture's.

    Raises:
        ConfigurationError: it does not end in `.png`.
    """
    if path.suffix != ".png":
        raise ConfigurationError("NOT_PNG", f"`{path}` must end in `.png`")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, which tells nothing of what drew it.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        figure.savefig(path, metadata={"Software": None})
    except OSError as error:
        raise cannot_write(path, error) from error
