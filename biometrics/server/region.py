"""RegionService: whether the exchange can be asked, as far as the caller may know."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from biometrics.callers import CALLER, Role
from biometrics.disclosure import Level, Purpose, permit
from biometrics.server.metrics import coarse
from biometrics.templates import Modality
from biometrics.v1 import agreement_pb2, match_pb2, region_pb2_grpc, template_pb2
from biometrics.v1 import region_pb2 as v1
from biometrics.wire import write_word
from matcher.galleries import GalleryState

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterator, Mapping

    import grpc

    from biometrics.calibration import FpirClass
    from biometrics.clock import Clock
    from biometrics.disclosure import Agreements
    from biometrics.members import Member
    from biometrics.server.hour import Hour
    from biometrics.server.methods import Method
    from biometrics.server.rates import Rates
    from matcher.galleries import Galleries

    Context = grpc.aio.ServicerContext[Any, Any]

# In these a search finds a holder that can be asked: one that has destroyed its
# galleries answers as one does that never had any.
_ANSWERING: Final = frozenset({GalleryState.READY, GalleryState.DESTROYED})
# The first that is found among a member's galleries tells of all of them.
_WORST: Final = (
    GalleryState.DESTROYED,
    GalleryState.LOCKED,
    GalleryState.DAMAGED,
    GalleryState.LOADING,
    GalleryState.READY,
)


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that a requester may ask a holder today, and how much it is told."""

    purpose: Purpose
    modality: Modality
    level: Level


@dataclass(frozen=True, slots=True)
class _Question:
    """What decides who may learn what: agreements, a day, and which FPIR is kept."""

    agreements: Agreements
    today: dt.date
    established: Mapping[Modality, frozenset[FpirClass]]

    @property
    def key(self) -> object:
        """What it is the same by."""
        return self.agreements, self.today, tuple(self.established.items())

    def uses(self, holder: Member, requester: Member) -> Iterator[Use]:
        """Yield what a requester may ask a holder."""
        for purpose, modality in product(Purpose, Modality):
            permission = permit(
                self.agreements,
                holder=holder,
                requester=requester,
                purpose=purpose,
                modality=modality,
                today=self.today,
                established=self.established[modality],
            )
            if permission is not None:
                yield Use(purpose, modality, permission.level)


class RegionService(region_pb2_grpc.RegionServiceServicer):
    """The state of the region; see `region.proto` for the contract."""

    def __init__(  # noqa: PLR0913 - everything whose state is told
        self,
        *,
        name: str,
        members: Collection[Member],
        names: Callable[[], Mapping[Member, str]],
        methods: Mapping[str, Method],
        agreements: Callable[[], Agreements],
        rates: Rates,
        galleries: Galleries,
        sizes: Callable[[], Mapping[Member, int]],
        hour: Hour,
        clock: Clock,
    ) -> None:
        """Tell the state of these.

        Args:
            name: of the exchange, for people.
            members: of the moment.
            names: returns those of members, for people.
            methods: the method table.
            agreements: returns those in force.
            rates: what they keep.
            galleries: of every member.
            sizes: returns how many templates each member has.
            hour: the calls of the last hour.
            clock: for the day.
        """
        self._name = name
        self._members = members
        self._names = names
        self._methods = methods
        self._agreements = agreements
        self._rates = rates
        self._galleries = galleries
        self._sizes = sizes
        self._hour = hour
        self._clock = clock
        self._told: tuple[object, v1.DescribeRegionResponse] = (
            None,
            v1.DescribeRegionResponse(),
        )

    async def DescribeCaller(
        self, request: v1.DescribeCallerRequest, context: Context
    ) -> v1.DescribeCallerResponse:
        """Tell the caller who it is."""
        caller = CALLER.get()
        return v1.DescribeCallerResponse(
            exchange_name=self._name,
            member=caller.member.code,
            member_name=self._names().get(caller.member, ""),
            role=caller.role.value,
            methods=sorted(
                name for name, row in self._methods.items() if caller.role in row.roles
            ),
        )

    async def ListHolders(
        self, request: v1.ListHoldersRequest, context: Context
    ) -> v1.ListHoldersResponse:
        """List whom the caller's member may search."""
        return await asyncio.to_thread(self._holders, CALLER.get().member)

    async def GetLoad(
        self, request: v1.GetLoadRequest, context: Context
    ) -> v1.GetLoadResponse:
        """Tell of the last hour: of one's member, or to the coordinator of all."""
        caller = CALLER.get()
        is_whole = caller.role is Role.COORDINATOR
        return v1.GetLoadResponse(
            minutes=[
                v1.LoadMinute(
                    minute=number,
                    search_count=each.searches.total(),
                    unanswered_count=each.unanswered,
                    enrolment_count=each.changes,
                    half_within_ms=round(1000 * each.half_within),
                    most_within_ms=round(1000 * each.most_within),
                )
                for number, each in self._hour.read(None if is_whole else caller.member)
            ],
            whole_region=is_whole,
        )

    async def DescribeRegion(
        self, request: v1.DescribeRegionRequest, context: Context
    ) -> v1.DescribeRegionResponse:
        """List all members and what is agreed."""
        sizes = await asyncio.to_thread(self._sizes)
        agreed = await asyncio.to_thread(self._agreed)
        return v1.DescribeRegionResponse(
            day=agreed.day,
            members=[
                v1.RegionMember(
                    member=member.code,
                    name=self._names().get(member, ""),
                    state=self._state(member),
                    templates_at_most=coarse(sizes.get(member, 0)),
                )
                for member in sorted(self._members)
            ],
            permissions=agreed.permissions,
        )

    def _holders(self, requester: Member) -> v1.ListHoldersResponse:
        """Return the holders of a requester."""
        question = self._question()
        response = v1.ListHoldersResponse(day=question.today.isoformat())
        for holder in question.agreements.holders_for(requester):
            uses = list(question.uses(holder, requester))
            if uses:
                response.holders.append(
                    v1.Holder(
                        holder=holder.code,
                        name=self._names().get(holder, ""),
                        availability=self._availability(holder, uses),
                        uses=map(_use, uses),
                    )
                )
        return response

    def _agreed(self) -> v1.DescribeRegionResponse:
        """Return the permissions of all; worked out once as long as they are the same.

        For 48 members who all agree it is a second of work.
        """
        question = self._question()
        key = (question.key, tuple(self._members))
        if key == self._told[0]:
            return self._told[1]
        response = v1.DescribeRegionResponse(day=question.today.isoformat())
        for requester in sorted(self._members):
            for holder in question.agreements.holders_for(requester):
                uses = list(question.uses(holder, requester))
                if uses:
                    response.permissions.append(
                        v1.RegionPermission(
                            holder=holder.code,
                            requester=requester.code,
                            uses=map(_use, uses),
                        )
                    )
        response.permissions.sort(key=lambda each: (each.holder, each.requester))
        self._told = key, response
        return response

    def _question(self) -> _Question:
        """Return what decides who may learn what now."""
        return _Question(
            self._agreements(),
            self._clock.now().date(),
            {each: frozenset(self._rates.in_any(each)) for each in Modality},
        )

    def _availability(
        self, holder: Member, uses: list[Use]
    ) -> v1.Availability.ValueType:
        """Return what a search would tell of a holder, where it names it."""
        named = {each.modality for each in uses if each.level is not Level.PRESENCE}
        if not named:
            return v1.AVAILABILITY_NOT_TOLD
        if self._galleries.is_suspended(holder):
            return v1.AVAILABILITY_UNAVAILABLE
        states = {
            self._galleries.state(holder, space.name)
            for space in self._rates.spaces
            if space.modality in named
        }
        if states <= _ANSWERING:
            return v1.AVAILABILITY_ANSWERING
        return v1.AVAILABILITY_UNAVAILABLE

    def _state(self, member: Member) -> v1.GalleriesState.ValueType:
        """Return one word for all galleries of a member."""
        if self._galleries.is_suspended(member):
            return v1.GALLERIES_STATE_SUSPENDED
        known = [g.space for g in self._galleries.known() if g.holder == member]
        found = {self._galleries.state(member, space) for space in known}
        if (closed := self._galleries.closed(member)) is not None:
            found = {closed}
        worst = next((state for state in _WORST if state in found), None)
        if worst is None:
            return v1.GALLERIES_STATE_NONE
        return v1.GalleriesState.ValueType(write_word(v1.GalleriesState, worst))


def _use(use: Use) -> v1.Use:
    """Return the message of one thing that may be asked."""
    return v1.Use(
        purpose=match_pb2.Purpose.ValueType(write_word(match_pb2.Purpose, use.purpose)),
        modality=template_pb2.Modality.ValueType(
            write_word(template_pb2.Modality, use.modality)
        ),
        level=agreement_pb2.DisclosureLevel.ValueType(
            write_word(agreement_pb2.DisclosureLevel, use.level)
        ),
    )
