"""What every benchmark takes, and how it ends: one way, so that none has its own.

    def main() -> None:
        parser = command.Parser("scan", __doc__, quick=QUICK, plots=True)
        parser.add_argument("--records", default=1_000_000)
        options = parser.parse_args()
        ...

    if __name__ == "__main__":
        command.run(main)

`--json [FILE]` keeps the figures, `--resume` goes on with such a file, `--quick` shows
that it runs, and `--plot` draws beside the file. `benchmarks.kit.results` says which
files are refused.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from biometrics.errors import ExchangeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FOLDER", "Parser", "amount", "natural", "positive", "run"]

FOLDER: Final = Path("benchmarks/results")
_STOPPED: Final = 128  # and the signal's number, as shells say it


def positive(text: str) -> int:
    """Return a whole number, 1 or more."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not 1 or more")
    return value


def natural(text: str) -> int:
    """Return a whole number, 0 or more."""
    if (value := int(text)) < 0:
        raise argparse.ArgumentTypeError(f"`{text}` is not 0 or more")
    return value


def amount(text: str) -> float:
    """Return a finite number above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"`{text}` is not above 0")
    return value


_TYPES: Final = {int: positive, float: amount}  # of an option, by its default


class Parser(argparse.ArgumentParser):
    """The options of one benchmark, with those that all have."""

    def __init__(
        self,
        name: str,
        description: str | None,
        *,
        quick: Mapping[str, Any],
        plots: bool = False,
    ) -> None:
        """Take what all benchmarks take.

        Args:
            name: of the benchmark, and so of its file.
            description: the benchmark's docstring.
            quick: options that `--quick` sets, unless they are given as well.
            plots: whether it has pictures.
        """
        super().__init__(
            prog=f"python -m benchmarks.{name}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self._quick = dict(quick)
        default = FOLDER / f"{name}.json"
        self.add_argument(
            "--json",
            type=Path,
            nargs="?",
            const=default,
            metavar="FILE",
            help=f"keep the figures in a file, without a name in {default}",
        )
        self.add_argument(
            "--resume", action="store_true", help="skip what the file has already"
        )
        self.add_argument(
            "--quick", action="store_true", help="to see that it runs, no more"
        )
        if plots:
            self.add_argument(
                "--plot", action="store_true", help="draw beside the file of --json"
            )

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """Add an option, whose default is shown, and has the type of what is given.

        Whole numbers are 1 or more, others above 0, unless a type says otherwise.
        """
        default = settings.get("default")
        values = default if isinstance(default, (list, tuple)) else [default]
        if values and default is not None and default is not argparse.SUPPRESS:
            settings.setdefault("type", _TYPES.get(type(values[0])))
            shown = f"(default: {' '.join(map(str, values))})"
            settings["help"] = f"{settings.get('help', '')} {shown}".strip()
        return super().add_argument(*names, **settings)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the options, those of `--quick` in place of defaults if asked for."""
        if self.parse_known_args(args)[0].quick:
            self.set_defaults(**self._quick)
        options = super().parse_args(args, namespace)
        for name in ("resume", "plot"):
            if getattr(options, name, False) and options.json is None:
                self.error(f"--{name} needs --json FILE")
        if options.quick and options.json and _is_kept(options.json):
            self.error(
                f"--quick finds nothing that {FOLDER} keeps: give --json another file"
            )
        return options


def run(main: Callable[[], None]) -> NoReturn:
    """Run a benchmark: whatever stops it is one line, and what it made is cleared away.

    Ctrl-C and SIGTERM end it alike. A defect of its own keeps its traceback.
    """
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        main()
    except _StoppedError as stopped:
        print("stopped; --resume goes on with a file of --json", file=sys.stderr)
        sys.exit(_STOPPED + stopped.number)
    except ModuleNotFoundError as error:
        sys.exit(f"`{error.name}` is not installed: pip install -e '.[bench,postgres]'")
    except ExchangeError as error:
        sys.exit(error.message)
    sys.exit()


class _StoppedError(BaseException):
    """A signal asked for the end; no handler of errors takes it for one."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _stop(number: int, _frame: object) -> NoReturn:
    """End what works for this process, and unwind."""
    signal.signal(number, signal.SIG_DFL)  # a second one is not waited for
    for process in multiprocessing.active_children():
        process.terminate()
    raise _StoppedError(number)


def _is_kept(path: Path) -> bool:
    """Say whether a file lies among the committed ones."""
    return path.resolve().parent == FOLDER.resolve()
