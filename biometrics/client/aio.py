"""The asynchronous client of the exchange: `ExchangeClient` with `await`.

    import asyncio
    from biometrics.client import AsyncExchangeClient, Profile, Template

    async def search():
        async with AsyncExchangeClient(Profile.load("XAA-client.toml")) as exchange:
            probe = Template(
                space="face-synthetic-512", position="face", vector=embedding
            )
            return await exchange.match(probe, purpose="border-check")

    answer = asyncio.run(search())

Make and use it within one event loop; many tasks may share it.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Self

from biometrics.client.asker import Asker
from biometrics.client.calls import AllCalls
from biometrics.client.line import LoopLine
from biometrics.client.messages import RequestMaker

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.client.profile import Profile


class AsyncExchangeClient(AllCalls):
    """A member's connection to the exchange; an asynchronous context manager.

    Every method takes `deadline` in seconds, by default the profile's, and may
    raise any `ExchangeError` but a `ConfigurationError`.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Prepare a channel; it connects when it is first used.

        Args:
            profile: where the exchange is, and who the client is.
            random_bytes: where request ids come from.

        Raises:
            ConfigurationError: a certificate or key cannot be read or does not fit.
            RuntimeError: no event loop runs here, in which it would be used.
        """
        asyncio.get_running_loop()
        super().__init__(Asker.of(profile, LoopLine), RequestMaker(random_bytes))

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the channel."""
        await self.close()

    async def close(self) -> None:
        """Close the channel; calls that are running are cancelled."""
        await self._asker.close()
