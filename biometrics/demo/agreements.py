"""The agreements of the demo: some of every level, some of none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from biometrics.server.development import write_agreement

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

# What each requester asks for in the demo.
PURPOSES: Final = {
    "XAA": "border-check",
    "XBB": "border-check",
    "XCC": "border-check",
    "XDD": "visa",
    "XEE": "trafficking-victim-identification",
    "XFF": "border-check",
    "XGG": "missing-or-deceased-person",
    "XRA": "asylum-and-protection",
}
# By requester, how much each holder lets it learn for that purpose.
LEVELS: Final = {
    "XAA": {"XBB": "holder", "XCC": "reference", "XDD": "holder"},
    # Of a state that people flee XAA and XRA want nothing to be asked. XDD answers
    # it, and still none of the refugees that XDD registered can be found by it.
    "XBB": {"XDD": "holder", "XEE": "reference"},
    "XCC": {"XAA": "holder", "XDD": "reference"},
    # Six holders that count toward the regional outcome and are never named.
    "XDD": dict.fromkeys(("XAA", "XBB", "XCC", "XEE", "XFF", "XGG"), "presence"),
    "XEE": {"XAA": "holder", "XFF": "reference", "XRA": "holder"},
    "XFF": {"XAA": "holder"},
    "XGG": dict.fromkeys(("XAA", "XBB", "XCC", "XDD", "XEE", "XFF"), "holder"),
    "XRA": {"XAA": "reference", "XBB": "holder", "XCC": "holder", "XDD": "holder"},
}
# A holder that forbids, and whom: it beats whatever is permitted.
FORBIDDEN: Final = (("XAA", "XBB"), ("XRA", "XBB"))


def write_agreements(root: Path, today: dt.date) -> None:
    """Sign every holder's agreement into a new exchange, in place of the samples."""
    for holder in PURPOSES:
        text = f'# Agreements of the demo.\nversion = 1\nholder = "{holder}"\n'
        text += f"revision = 1\ndated = {today}T00:00:00Z\n"
        for requester, levels in LEVELS.items():
            if holder in levels:
                text += (
                    f'\n[[permit]]\nrequester = "{requester}"\nmodalities = ["face"]\n'
                    f'purposes = ["{PURPOSES[requester]}"]\n'
                    f'level = "{levels[holder]}"\nvalid_from = {today}\n'
                    f"valid_until = {today.replace(year=today.year + 1, day=1)}\n"
                    'legal_basis = "demo"\n'
                )
        for forbidding, requester in FORBIDDEN:
            if holder == forbidding:
                text += (
                    f'\n[[forbid]]\nrequester = "{requester}"\n'
                    'reason = "people who are registered here fled it"\n'
                )
        write_agreement(root, text)
