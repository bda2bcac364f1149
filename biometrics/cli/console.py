"""`biometrics console`: a page for a browser, that shows and changes nothing."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from biometrics.errors import ConfigurationError


def console(
    config: Annotated[
        Path,
        typer.Option(help="The console's settings, `console.toml`.", metavar="FILE"),
    ],
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
            "MISSING_EXTRA",
            f"the console needs `{error.name}`; install the extra `console`:"
            " `pip install 'regional-biometrics-exchange[console]'`",
        ) from error
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    run(config)
