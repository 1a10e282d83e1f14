"""Policies play scenarios in parts, each of which is played in one go, by whichever worker is free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from agents.policies.name import PolicyName
from agents.policies.plan_policy import PlanPolicy
from evaluate.compare.record import Record
from evaluate.compare.rollout import Arena
from evaluate.parallel import Workers, results_of

Found = TypeVar("Found")

_warm: set[tuple[object, ...]] = set()  # which policies have decided once in this process, and where


@dataclass(frozen=True, eq=False)
class Part:
    """Scenarios that a policy plays in one go.

    Attributes:
        key: How the policy is called in messages and results.
        policy: Name of the policy.
        seed: Seed of whatever is random in it.
        arena: The environment with the scenarios.
        known: Records of some of them, by the number of the scenario.
        is_timed: Whether the seconds of planning matter, so that the policy decides once before they count.
    """

    key: str
    policy: str | PolicyName
    seed: int
    arena: Arena
    known: Mapping[int, Record] = field(default_factory=dict)
    is_timed: bool = False

    @property
    def title(self) -> str:
        """The policy and the scenarios, for messages."""
        numbers = self.arena.numbers
        scenarios = f"scenario {numbers[0]}" if len(numbers) == 1 else f"scenarios {numbers[0]} to {numbers[-1]}"
        return f"policy {self.key!r} in {scenarios}"


def parts_left(
    key: str,
    policy: str | PolicyName,
    seed: int,
    arena: Arena,
    known: Mapping[int, Record],
    *,
    is_timed: bool = False,
) -> list[Part]:
    """Return the parts of which not all records are known; see `Part` for the arguments.

    Raises:
        ValueError: If no policy has that name, it cannot act here, or it refuses to plan in one of the scenarios.
    """
    made, _ = arena.policy(policy, seed)
    if isinstance(made, PlanPolicy):
        for number in arena.numbers:
            try:
                made.check(arena.scenario(number))
            except ValueError as error:
                raise ValueError(f"policy {key!r} in scenario {number}: {error}") from error
    found = []
    for part in arena.parts(policy):
        mine = {number: known[number] for number in part.numbers if number in known}
        if len(mine) < len(part.numbers):
            found.append(Part(key, policy, seed, part, mine, is_timed))
    return found


def play_all(
    parts: Sequence[Part], workers: Workers, then: Callable[[Part, Record], Found]
) -> Iterator[tuple[Part, list[Found]]]:
    """Play parts; yield each with what comes of the records that were not known, as soon as it is there.

    Args:
        parts: The parts.
        workers: Who plays; with several, parts come in any order.
        then: What is made of a record, by the same worker: a function of a module, or a `functools.partial` of one.

    Raises:
        ValueError: If a policy fails (the message names it and the scenarios), or a worker dies.
    """
    if workers.workers > 1:  # what is compiled by this process is found on disk by all workers
        for part in parts:
            _warm_up(part)
    numbered = list(enumerate(parts))
    for place, found in results_of(partial(_played, then=then), numbered, workers):
        yield parts[place], found


def the_record(part: Part, record: Record) -> Record:
    """Return a record as it is, as `then` of `play_all`."""
    return record


def _played(numbered: tuple[int, Part], then: Callable[[Part, Record], Found]) -> tuple[int, list[Found]]:
    """Play a part; return its place, and what comes of the records that were not known."""
    place, part = numbered
    found: list[Record] = []
    try:
        if part.is_timed:
            _warm_up(part)
        part.arena.roll_out(*part.arena.policy(part.policy, part.seed), found.append, part.known)
        return place, [then(part, record) for record in found if record.scenario not in part.known]
    except ValueError as error:
        raise ValueError(f"{part.title}: {error}") from error
    except Exception as error:
        error.add_note(part.title)
        raise


def _warm_up(part: Part) -> None:
    """Let a policy decide once in this process, unless it has."""
    what = (part.key, part.arena.limits, part.arena.decisions)
    if what not in _warm:
        part.arena.warm_up(part.policy, part.seed)
        _warm.add(what)
