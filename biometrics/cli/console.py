"""`biometrics console`: a page for a browser, that shows and changes nothing."""

import logging
from pathlib import Path
from threading import Thread
from typing import Annotated

import typer

from biometrics.cli.serve import stop_with_stdin
from biometrics.errors import ConfigurationError


def console(
    config: Annotated[
        Path,
        typer.Option(help="The console's settings, `console.toml`.", metavar="FILE"),
    ],
    *,
    until_stdin_ends: Annotated[
        bool,
        typer.Option(
            "--until-stdin-ends",
            help="Stop when stdin ends as well: for a parent that may be killed.",
        ),
    ] = False,
) -> None:
    """Serve the console, a page to be read, until SIGTERM or Ctrl-C.

    Browsers need a certificate that the exchange takes, and see what its owner may
    know. The exchange has to run on this machine, with `[console] socket` in its
    settings.
    """
    try:
        from biometrics.console.serve import run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name not in {"aiohttp", "jinja2"}:
            raise
        raise ConfigurationError(
            "EXTRA_MISSING",
            f"the console needs `{error.name}`; install the extra `console`:"
            " `pip install 'regional-biometrics-exchange[console]'`",
        ) from error
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if until_stdin_ends:
        Thread(target=stop_with_stdin, daemon=True).start()
    run(config)
