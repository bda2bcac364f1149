"""A synthetic region: who of a population is enrolled where, and how that went wrong.

It deals the captures of `synthetic` to members as operators would have enrolled them,
and knows the truth of every row. Every share that shapes it is a field of `Scenario`,
with its source.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics.errors import Fault, InvalidRequestError
from biometrics.templates import Position
from enrolment.population import Kind
from enrolment.synthetic import synthesise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from biometrics.members import Member
    from enrolment.population import Population

LEAST_SAMPLES: Final = 3  # one to enrol, one to enrol again, one to search with
NOWHERE: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """How a population is enrolled. "Chosen" means that no source gives a figure.

    Attributes:
        population: who there is; three captures of each or more.
        members: who enrols.
        positions: of every capture: the face, or some fingers, or irises.
        not_enrolled: share of subjects who are enrolled nowhere, so that searches for
            them are non-mated. Chosen; all their captures are probes, so that about a
            third of the searches is non-mated.
        at_two: share of the enrolled whom a second member has enrolled as well.
            Chosen: a person on the move is registered along the way.
        twice: share of the enrolled whom one member has under two references, as a
            duplicate check is to find. Chosen.
        swapped: share of captures whose positions were recorded in another order, as
            when hands are swapped. Chosen; that it happens is why slap segmentation is
            evaluated for it, and why the exchange has fallback positions.

    Raises:
        InvalidRequestError: with every fault at once.
    """

    population: Population
    members: tuple[Member, ...]
    positions: tuple[Position, ...] = (Position.FACE,)
    not_enrolled: float = 0.2
    at_two: float = 0.1
    twice: float = 0.01
    swapped: float = 0.005

    def __post_init__(self) -> None:
        """Check the scenario as a whole."""
        shares = (self.not_enrolled, self.at_two, self.twice, self.swapped)
        faults = [
            Fault(field=where, reason="INVALID_SCENARIO", message=message)
            for where, right, message in (
                (
                    "samples",
                    self.population.samples >= LEAST_SAMPLES,
                    (
                        f"must be {LEAST_SAMPLES} or more: to enrol, to enrol again,"
                        " and to search with"
                    ),
                ),
                ("members", bool(self.members), "must be one or more"),
                (
                    "positions",
                    len({*self.positions}) == len(self.positions) > 0
                    and len({each.modality for each in self.positions}) == 1,
                    "must be one or more of one modality, each once",
                ),
                (
                    "not_enrolled, at_two, twice, swapped",
                    all(0 <= share <= 1 for share in shares)
                    and self.at_two + self.twice <= 1,
                    "must be shares, and `at_two` and `twice` together at most 1",
                ),
            )
            if not right
        ]
        if faults:
            raise InvalidRequestError.of(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """One subject in front of a sensor: a template for each position.

    Attributes:
        member: code of who enrolled it, or `NOWHERE` for one to search with.
        reference: what it is called.
        subject: who it is.
        sample: number of the capture of that subject, by age.
        recorded: position that is recorded of each template, in the scenario's order.
    """

    member: str
    reference: str
    subject: int
    sample: int
    recorded: tuple[Position, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """All captures, with the vectors and the truth about them.

    Attributes:
        scenario: what it was made by.
        captures: first what is enrolled, by member, then what to search with.
        embedding: float32 (positions, subjects, samples, dimension).
        quality: uint8 (positions, subjects, samples).
        failed: bool (positions, subjects, samples).
        kind: int8 (positions, subjects), of type `Kind`.
    """

    scenario: Scenario
    captures: tuple[Capture, ...]
    embedding: NDArray[np.float32]
    quality: NDArray[np.uint8]
    failed: NDArray[np.bool_]
    kind: NDArray[np.int8]

    def relative(self, position: int, subject: int) -> int | None:
        """Return who resembles a subject at a position, a neighbour, or None."""
        if self.kind[position, subject] in (Kind.LOOK_ALIKE, Kind.SIBLING):
            return subject ^ 1
        return None


def deal(scenario: Scenario) -> Region:
    """Make a region; one seed, the same bytes.

    Takes the memory of all vectors. Each finger of a subject has a place of its own in
    the zoo, since who is a goat with one need not be with another.
    """
    population, positions = scenario.population, scenario.positions
    made = [
        synthesise(replace(population, seed=population.seed + number))
        for number in range(len(positions))
    ]
    shape = (len(positions), population.subjects, population.samples)
    # Apart from what vectors are drawn from.
    random = np.random.default_rng([population.seed, 1])
    return Region(
        scenario=scenario,
        captures=tuple(_captures(scenario, random)),
        embedding=np.stack([each.embedding for each in made]).reshape(*shape, -1),
        quality=np.stack([each.quality for each in made]).reshape(shape),
        failed=np.stack([each.failed for each in made]).reshape(shape),
        kind=np.stack([each.kind for each in made]),
    )


def _captures(scenario: Scenario, random: np.random.Generator) -> list[Capture]:
    """Deal the captures of all subjects to members, and the rest to be probes.

    Of an enrolled subject the first is enrolled; the second by another member, by the
    same one again, or not; all others are there to search with.
    """
    subjects, samples = scenario.population.subjects, scenario.population.samples
    order = random.permutation(subjects)
    enrolled = order[round(scenario.not_enrolled * subjects) :]
    at_two = round(scenario.at_two * len(enrolled)) if len(scenario.members) > 1 else 0
    twice = round(scenario.twice * len(enrolled))
    taken: dict[tuple[int, int], int] = {}
    for number, subject in enumerate(enrolled.tolist()):
        home = int(random.integers(len(scenario.members)))
        taken[subject, 0] = home
        if number < at_two:
            step = 1 + int(random.integers(len(scenario.members) - 1))
            taken[subject, 1] = (home + step) % len(scenario.members)
        elif number < at_two + twice:
            taken[subject, 1] = home
    # References count by member and tell nothing of who it is.
    found = [
        Capture(
            member=member.code,
            reference=f"{member.code}-{number:08d}",
            subject=subject,
            sample=sample,
            recorded=_recorded(scenario, random),
        )
        for place, member in enumerate(scenario.members)
        for number, (subject, sample) in enumerate(
            _shuffled([of for of, where in taken.items() if where == place], random)
        )
    ]
    # The second capture of an enrolled subject is used by nobody, if not by a member.
    left = [
        (subject, sample)
        for subject in range(subjects)
        for sample in range(samples)
        if (subject, 0) not in taken or sample > 1
    ]
    return found + [
        Capture(
            member=NOWHERE,
            reference=f"probe-{number:08d}",
            subject=subject,
            sample=sample,
            recorded=scenario.positions,
        )
        for number, (subject, sample) in enumerate(left)
    ]


def _shuffled(
    captures: list[tuple[int, int]], random: np.random.Generator
) -> list[tuple[int, int]]:
    """Return captures in another order."""
    return [captures[place] for place in random.permutation(len(captures))]


def _recorded(scenario: Scenario, random: np.random.Generator) -> tuple[Position, ...]:
    """Return the positions that are recorded, now and then in a wrong order."""
    positions = scenario.positions
    is_swapped = random.random() < scenario.swapped
    return (*positions[1:], positions[0]) if is_swapped else positions
