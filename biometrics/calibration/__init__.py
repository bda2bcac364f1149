"""Error rates as promised, and the thresholds that keep them: values and files."""

from biometrics.calibration.calibration import (
    Calibration,
    Calibrations,
    Evidence,
    Row,
    Threshold,
)
from biometrics.calibration.drift import Drift
from biometrics.calibration.file import parse_calibration, write_calibration
from biometrics.calibration.promise import (
    BY_DEFAULT,
    EVERY_CLASS,
    FpirClass,
    Promise,
    comparisons_supported,
    rarest_supported,
    rounded_up,
    searches_needed,
)
from biometrics.calibration.weights import Weights

__all__ = [
    "BY_DEFAULT",
    "EVERY_CLASS",
    "Calibration",
    "Calibrations",
    "Drift",
    "Evidence",
    "FpirClass",
    "Promise",
    "Row",
    "Threshold",
    "Weights",
    "comparisons_supported",
    "parse_calibration",
    "rarest_supported",
    "rounded_up",
    "searches_needed",
    "write_calibration",
]
