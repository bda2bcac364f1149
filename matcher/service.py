"""The gRPC edge of the matcher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biometrics.v1 import (
    duplicate_pb2,
    duplicate_pb2_grpc,
    match_pb2,
    match_pb2_grpc,
)
from matcher.wire import (
    read_batch,
    read_duplicates,
    read_match,
    read_stored_batch,
    read_stored_match,
    write_batch,
    write_duplicates,
    write_match,
)

if TYPE_CHECKING:
    import grpc

    from biometrics.templates import TemplateSpaces
    from matcher.duplicates import Duplicates
    from matcher.match import Matcher


class MatchService(match_pb2_grpc.MatchServiceServicer):
    """Answers probes; see `match.proto` for the contract."""

    def __init__(self, *, matcher: Matcher, spaces: TemplateSpaces) -> None:
        """Answer with `matcher`, read probes by `spaces`."""
        self._matcher = matcher
        self._spaces = spaces

    async def Match(
        self,
        request: match_pb2.MatchRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> match_pb2.MatchResponse:
        """Search for one person."""
        search = read_match(request, self._spaces)
        body = await self._matcher.match(search, write_match)
        return read_stored_match(body)

    async def BatchMatch(
        self,
        request: match_pb2.BatchMatchRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> match_pb2.BatchMatchResponse:
        """Search for several persons."""
        search = read_batch(request, self._spaces)
        body = await self._matcher.match(search, write_batch)
        return read_stored_batch(body)


class DuplicateService(duplicate_pb2_grpc.DuplicateServiceServicer):
    """Looks for duplicates of the caller's own; see `duplicate.proto`."""

    def __init__(self, *, duplicates: Duplicates) -> None:
        """Answer with `duplicates`."""
        self._duplicates = duplicates

    async def FindDuplicates(
        self,
        request: duplicate_pb2.FindDuplicatesRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> duplicate_pb2.FindDuplicatesResponse:
        """Say which others of the caller's own records resemble some."""
        holder, references = read_duplicates(request)
        return write_duplicates(await self._duplicates.find(holder, references))
