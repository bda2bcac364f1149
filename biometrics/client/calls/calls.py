"""What every room of calls stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable

    from biometrics.client.asker import Asker
    from biometrics.client.messages import RequestMaker
    from biometrics.client.services import Services


class Page(Protocol):
    """A response that may not be the last."""

    next_page_token: str


PageT = TypeVar("PageT", bound=Page)
ItemT = TypeVar("ItemT")


class Calls:
    """Makes requests, has them asked, and reads what comes back."""

    def __init__(self, asker: Asker, requests: RequestMaker) -> None:
        """Ask by `asker` what `requests` makes."""
        self._asker = asker
        self._requests = requests

    @property
    def _on(self) -> Services:
        """The services that a call which begins now is made on."""
        return self._asker.line.services


async def pages(
    page: Callable[[str], Coroutine[Any, Any, PageT]],
    read: Callable[[PageT], Iterable[ItemT]],
) -> AsyncGenerator[ItemT, None]:
    """Yield what is on all pages, one after another.

    Args:
        page: asks for the page of a token; the first has none.
        read: reads a page.
    """
    token = ""
    while True:
        message = await page(token)
        for item in read(message):
            yield item
        token = message.next_page_token
        if not token:
            return
