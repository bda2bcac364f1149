"""The console's few addresses: a page, its two files, and the tiles of the log.

Everything else is not there. Nothing is asked but by GET or HEAD, under a name that
the console's certificate is for, and by a certificate that TLS has proved.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from biometrics import limits
from biometrics.console import charts
from biometrics.console.matrix import matrix_of
from biometrics.console.view import look
from biometrics.errors import (
    DeadlineError,
    ExchangeError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    UnauthenticatedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from biometrics.client.hatch import Hatch, Reader
    from biometrics.clock import Clock

log = logging.getLogger(__name__)

_METHODS: Final = ("GET", "HEAD")
# No cookie, no form, no frame, nothing of another origin. No HSTS: there is no plain
# HTTP on this port, and it would bind whatever else the host serves.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self';"
    " style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_FILES: Final = {
    "/console.css": "text/css",
    "/verify.js": "text/javascript",
    "/icon.svg": "image/svg+xml",
}
# As the C2SP's tlog-tiles writes it.
_TILE: Final = re.compile(
    r"/log/tile/(?P<level>[0-7])/(?P<number>(x[0-9]{3}/){0,5}[0-9]{3})"
    r"(\.p/(?P<width>[1-9][0-9]{0,2}))?"
)
_STATUSES: Final[Mapping[type[ExchangeError], int]] = {
    UnauthenticatedError: 403,
    RefusedError: 403,
    NotFoundError: 404,
    InvalidRequestError: 404,  # of a tile: there is none with such a number
    DeadlineError: 504,
}
_UNAVAILABLE: Final = 503
_TITLES: Final = {
    403: "Not for this certificate",
    404: "Not found",
    405: "Only to be read",
    421: "Another address",
    500: "A defect",
    503: "The exchange is not there",
    504: "The exchange takes too long",
}


@dataclass(frozen=True, slots=True)
class _Refusal(Exception):  # noqa: N818 - an answer, and no error of ours
    """An answer that is no page."""

    status: int
    text: str


class Site:
    """Answers requests, out of what the exchange tells."""

    def __init__(
        self, hatch: Hatch, names: Callable[[], frozenset[str]], clock: Clock
    ) -> None:
        """Ask by `hatch`; be reached by `names`, which returns those of the moment."""
        self._hatch = hatch
        self._names = names
        self._clock = clock
        self._pages = Environment(
            loader=PackageLoader("biometrics.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        folder = files("biometrics.console") / "static"
        self._files = {name: (folder / name[1:]).read_bytes() for name in _FILES}

    def application(self) -> web.Application:
        """Return what a server of aiohttp runs: one handler, and these headers."""
        made = web.Application(client_max_size=0)
        made.router.add_route("*", "/{any:.*}", self._answer)
        made.on_response_prepare.append(_protect)
        return made

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        try:
            self._check(request)
            return await self._found(request)
        except _Refusal as refusal:
            status, told = refusal.status, refusal.text
        except ExchangeError as error:
            status = next(
                (code for kind, code in _STATUSES.items() if isinstance(error, kind)),
                _UNAVAILABLE,
            )
            told = error.message
            log.info("refused reason=%s status=%d", error.reason, status)
        except Exception:
            log.exception("defect")
            status, told = 500, "a defect of the console; its log says more"
        return self._page("refusal.html", status, title=_TITLES[status], told=told)

    def _check(self, request: web.Request) -> None:
        """Refuse what is asked in another way, or of another host.

        A name that is not ours may be one of an attacker's that leads here: a page of
        theirs would then be of our origin.
        """
        if request.method not in _METHODS:
            raise _Refusal(405, "this page is only to be read, by GET or HEAD")
        host = request.headers.getall("Host", [])
        name = re.sub(r":[0-9]{1,5}$", "", host[0]).lower() if len(host) == 1 else ""
        if name not in self._names():
            raise _Refusal(
                421, "the console is reached by the names in its certificate alone"
            )

    async def _found(self, request: web.Request) -> web.StreamResponse:
        """Return what there is at an address.

        Raises:
            ExchangeError: the exchange refuses it, or is not there.
        """
        path, reader = request.raw_path, self._reader(request)
        if path == "/":
            return await self._console(reader)
        if path in _FILES:
            return web.Response(
                body=self._files[path], content_type=_FILES[path], charset="utf-8"
            )
        if tile := _TILE.fullmatch(path):
            number = int(re.sub(r"[x/]", "", tile["number"]))
            width = int(tile["width"] or limits.TILE_HASHES)
            hashes = await reader.log_tile(int(tile["level"]), number, width)
            return web.Response(body=hashes, content_type="application/octet-stream")
        raise _Refusal(404, "there is nothing at this address")

    def _reader(self, request: web.Request) -> Reader:
        """Return what asks as whoever TLS has proved to be there."""
        secured = request.get_extra_info("ssl_object")
        certificate = secured and secured.getpeercert(binary_form=True)
        if not certificate:  # TLS lets nobody in without
            raise _Refusal(403, "the browser has shown no certificate")
        return self._hatch.reader(certificate)

    async def _console(self, reader: Reader) -> web.Response:
        """Return the page."""
        view = await look(reader)
        load = view.load.told if view.load else None
        region = view.region.told if view.region else None
        return self._page(
            "console.html",
            200,
            view=view,
            now=self._clock.now(),
            charts=charts,
            searches=charts.searches(load) if load else None,
            latency=charts.latency(load) if load else None,
            totals=charts.totals(load) if load else None,
            matrix=matrix_of(region) if region else None,
        )

    def _page(self, name: str, status: int, **told: object) -> web.Response:
        """Return a page out of its template."""
        text = self._pages.get_template(name).render(**told)
        allow = {"Allow": ", ".join(_METHODS)} if status == 405 else {}  # noqa: PLR2004
        return web.Response(
            text=text, status=status, content_type="text/html", headers=allow
        )


async def _protect(_request: web.Request, response: web.StreamResponse) -> None:
    """Put the headers on an answer, and take away what tells of versions."""
    response.headers.update(_HEADERS)
    response.headers.pop("Server", None)
