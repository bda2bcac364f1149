"""Every call of the exchange, written once, for both clients.

A call is a coroutine that makes its request (`biometrics.client.messages`), has it
asked (`biometrics.client.asker`) and reads what comes back
(`biometrics.client.responses`). `AsyncExchangeClient` has these methods as they are;
`ExchangeClient` names each, and has it done at once (`biometrics.client.blocking`).

A call waits for nothing but what its `Asker` and that one's line have it wait for:
with anything else it would need an event loop, which the blocking client has not got.
"""

from biometrics.client.calls.custody import CustodyCalls
from biometrics.client.calls.enrolling import EnrolCalls
from biometrics.client.calls.follow_ups import FollowUpCalls
from biometrics.client.calls.log import LogCalls
from biometrics.client.calls.region import RegionCalls
from biometrics.client.calls.reviewing import ReviewCalls
from biometrics.client.calls.searching import SearchCalls

__all__ = ["AllCalls"]


class AllCalls(
    SearchCalls,
    EnrolCalls,
    CustodyCalls,
    RegionCalls,
    FollowUpCalls,
    LogCalls,
    ReviewCalls,
):
    """All that a member's systems can ask, each room for itself."""
