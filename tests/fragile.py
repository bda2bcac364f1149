"""An extractor of the tests' own that does what a picture tells it to."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

import numpy as np

from biometrics.errors import InvalidRequestError
from enrolment.extractors.extractor import Extracted, Picture
from enrolment.formats.source import VectorSample

REFUSE, RAISE, DIE, HANG, SLOW = 250, 251, 252, 253, 254


class Fragile:
    """Gives the first pixel's red as a vector, unless that is a command."""

    def extract(self, picture: Picture) -> Extracted:
        """Obey the first pixel."""
        red = int(picture.pixels[0, 0, 0])
        if red == REFUSE:
            raise InvalidRequestError("NO_FACE", "no face is found")
        if red == RAISE:
            raise ZeroDivisionError
        if red == DIE:
            os.kill(os.getpid(), signal.SIGSEGV)
        if red >= HANG:
            time.sleep(60 if red == HANG else 0.2)
        return Extracted(sample=VectorSample(vector=np.full(16, red, np.float32)))


@dataclass(frozen=True)
class FragileChoice:
    """What loads it, or does not."""

    broken: str = ""

    def load(self) -> Fragile:
        """Return the extractor."""
        if self.broken == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.broken:
            raise RuntimeError(self.broken)
        return Fragile()
