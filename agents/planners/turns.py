"""Users take turns: what several users have to upload, merged so that nobody waits for another's whole network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TypeVar

Item = TypeVar("Item")


def in_turns(queues: Sequence[Sequence[Item]]) -> Iterator[tuple[int, Item]]:
    """Yield (queue index, item): the first of every queue, then the second of every queue, and so on."""
    nothing = object()
    for round_ in zip_longest(*queues, fillvalue=nothing):
        for index, item in enumerate(round_):
            if item is not nothing:
                yield index, item  # type: ignore[misc]  # the filler is ruled out above
