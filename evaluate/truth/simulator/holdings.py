"""Which servers hold which layers, and what a server may drop to make room."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from evaluate.truth.simulator.plain_scenario import DEVICE, PlainScenario

Copy = tuple[int, int, int]
"""Weights on a server or on their way there: user, layer, server."""


class Holdings:
    """Keeps account of the weights on all servers.

    Args:
        plain: The scenario, which says what servers hold at time 0.
    """

    def __init__(self, plain: PlainScenario) -> None:
        self._plain = plain
        self._held: list[dict[Copy, int]] = [{} for _ in plain.graphs]  # the number of each arrival, in their order
        self._arrivals = 0
        self._expected = set[Copy]()
        self._free_bytes = plain.memory_bytes.copy()
        users, servers = range(plain.num_users), range(1, plain.num_servers + 1)
        copies = [
            (user, layer, server) for user in users for layer, row in enumerate(plain.copies[user]) for server in row
        ]
        for server in servers:
            self._add(copy for copy in copies if copy[2] == server)
        self._add(
            (user, layer, server) for user in users for layer, server in enumerate(plain.uploaded[user]) if server
        )

    def _add(self, copies: Iterable[Copy]) -> None:
        self.expect(copies := list(copies))
        self.arrive(copies)

    def expect(self, copies: Iterable[Copy]) -> None:
        """Keep memory for weights that are on their way from now on."""
        for copy in copies:
            self._expected.add(copy)
            self._free_bytes[copy[2]] -= self._bytes(copy)

    def lose(self, copy: Copy) -> None:
        """Expect weights no longer."""
        self._expected.remove(copy)
        self._free_bytes[copy[2]] += self._bytes(copy)

    def arrive(self, copies: Iterable[Copy]) -> None:
        """Hold weights that were on their way."""
        for copy in copies:
            self._expected.remove(copy)
            self._held[copy[0]][copy] = self._arrivals
            self._arrivals += 1

    def drop(self, copies: Iterable[Copy]) -> None:
        """Hold weights no longer."""
        for copy in copies:
            del self._held[copy[0]][copy]
            self._free_bytes[copy[2]] += self._bytes(copy)

    def holds(self, copy: Copy) -> bool:
        """Return whether a server holds a layer, ready for use."""
        return copy in self._held[copy[0]]

    def expects(self, copy: Copy) -> bool:
        """Return whether a layer is on its way to a server, or there before the rest of its partition."""
        return copy in self._expected

    def hold_all(self, user: int, assignment: Sequence[int]) -> bool:
        """Return whether an assignment runs no layer on a server that lacks weights for it."""
        for layer, node in enumerate(assignment):
            row = self._plain.graphs[user].layers[layer]
            needed = [*row.shares, layer] if row.weight_bytes > 0 else row.shares
            if node != DEVICE and not all(self.holds((user, each, node)) for each in needed):
                return False
        return True

    def used_from(self, slot: int, user: int) -> dict[int, int]:
        """Return the server on which each layer runs that is available to a user.

        Where weights do not move, that is the one to which it was uploaded. Where they move, only servers count that
        the user can reach: its home if that holds the layer, or else the one where the layer arrived last.
        """
        plain, home, found = self._plain, self._plain.cell(slot, user), dict[int, int]()
        for _, layer, server in self._held[user]:
            if plain.moves and (not plain.reaches(slot, user, (server,)) or (home and found.get(layer) == home)):
                continue
            found[layer] = server
        return found

    def to_drop(self, slot: int, server: int, needed_bytes: float) -> list[Copy] | None:
        """Return what a server has to drop to have room for weights; None if all that it may drop is too little."""
        free_bytes, dropped = self._free_bytes[server], list[Copy]()
        for copy in self._dispensable(slot, server):
            if free_bytes >= needed_bytes:
                break
            dropped.append(copy)
            free_bytes += self._bytes(copy)
        return dropped if free_bytes >= needed_bytes else None

    def _dispensable(self, slot: int, server: int) -> Iterator[Copy]:
        """Return what a server may drop, in this order.

        First come layers of users who have left, beginning with the user who has been absent longest, then copies of
        layers that the home servers of present users hold as well.
        """
        plain = self._plain
        if not plain.moves:
            return
        users = range(plain.num_users)
        gone = [user for user in users if plain.has_left(slot, user)]
        for user in sorted(gone, key=lambda user: plain.last_slot(slot, user)):
            yield from (copy for copy in self._held[user] if copy[2] == server)
        present = [user for user in users if plain.is_present(slot, user)]
        here = [(when, copy) for user in present for copy, when in self._held[user].items() if copy[2] == server]
        for _, copy in sorted(here):
            home = plain.cell(slot, copy[0])
            if home != server and self.holds((copy[0], copy[1], home)):
                yield copy

    def _bytes(self, copy: Copy) -> float:
        return self._plain.weight_bytes(copy[0], copy[1])
