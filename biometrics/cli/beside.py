"""What lies beside a folder of agreements: which promises can be kept at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from biometrics.server.rates import Rates


def rates_beside(agreements: Path) -> Rates | None:
    """Return the calibrations beside the agreements, for an exchange that is empty.

    What is not kept there is kept nowhere; how much an exchange holds only it knows.

    Args:
        agreements: the folder, or an agreement in it.

    Returns:
        None where there is no `spaces.toml` with a folder `calibrations` beside it.

    Raises:
        ConfigurationError: with every fault in them.
    """
    # Late: most commands need no server.
    from biometrics.server.policy import read_calibrated  # noqa: PLC0415
    from biometrics.server.rates import Rates  # noqa: PLC0415

    folder = agreements.absolute()
    root = folder.parent if folder.is_dir() else folder.parent.parent
    spaces, calibrations = root / "spaces.toml", root / "calibrations"
    if not spaces.is_file() or not calibrations.is_dir():
        return None
    return Rates(*read_calibrated(spaces, calibrations), lambda _: 1)
