"""Computes the records of a command, by several workers if need be, and keeps each one as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from evaluate.output.journal import Journal
from evaluate.parallel import Workers, results_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

One = TypeVar("One", bound="DataclassInstance")


@dataclass(frozen=True, eq=False)
class Keeper:
    """Returns records that are known, and computes and keeps the others.

    Attributes:
        journal: Keeps the records, and knows those of earlier; by default nothing does.
        workers: Who computes.
    """

    journal: Journal[Any] | None = None
    workers: Workers = Workers()  # noqa: RUF009  immutable

    def is_known(self, name: str, number: int) -> bool:
        """Return whether the record of a name and number need not be computed."""
        return self.journal is not None and number in self.journal.known.get(name, {})

    def records(self, tasks: Sequence[tuple[str, int, Callable[[], One]]]) -> Iterator[One]:
        """Yield the record of each task, in their order.

        Args:
            tasks: The name and number under which the record of each is kept, and what computes it: a
                `functools.partial` of a function of a module, which other workers can call.

        Raises:
            ValueError: If a worker died; and whatever a task raises.
        """
        found: dict[int, Any] = {}
        missing = [
            (place, compute) for place, (name, number, compute) in enumerate(tasks) if not self.is_known(name, number)
        ]
        with closing(results_of(_computed, missing, self.workers)) as computed:
            for place, (name, number, _) in enumerate(tasks):
                if self.journal is not None and self.is_known(name, number):
                    found[place] = self.journal.known[name][number]
                while place not in found:  # others may come first
                    at, found[at] = next(computed)
                    if self.journal is not None:
                        self.journal.add(*tasks[at][:2], found[at])
                yield cast(One, found.pop(place))


def _computed(task: tuple[int, Callable[[], One]]) -> tuple[int, One]:
    """Return the place of a task, and its record; a worker calls this."""
    place, compute = task
    return place, compute()
