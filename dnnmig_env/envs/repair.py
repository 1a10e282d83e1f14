"""Replaces illegal actions by legal ones, for agents that look at no mask: the option `illegal="repair"`."""

from __future__ import annotations

from dnnmig_env.arrays import Bools, Int8s, Ints
from dnnmig_env.compiling.jit import jit_nogil, jit_without_refcounts
from dnnmig_env.envs.actions import upload_of


@jit_nogil
def repair_rows(
    first: int,
    end: int,
    mask: Int8s,
    layers: int,
    servers: int,
    given: Ints,
    active: Bools,
    taken: Ints,
    illegal: Bools,
) -> None:
    """Write the actions that the active ones of the rows from `first` up to, but not including, `end` take.

    Args:
        first: The first row.
        end: The one after the last.
        mask: The legal actions, shape (B, U * L * S + 1).
        layers: Most layers, L.
        servers: Most servers, S.
        given: The actions that were given, shape (B,).
        active: Which rows take an action, shape (B,).
        taken: Receives the actions to take, shape (B,): those given where they are legal, else the nearest legal ones.
        illegal: Receives whether the given action is illegal, shape (B,).
    """
    for i in range(first, end):
        if active[i]:
            illegal[i] = mask[i, given[i]] == 0
            taken[i] = nearest_legal(mask[i], given[i], layers, servers) if illegal[i] else given[i]


@jit_without_refcounts
def nearest_legal(mask: Int8s, action: int, layers: int, servers: int) -> int:
    """Return the legal upload that is nearest to an upload; "stop" if no upload is legal.

    Of the legal uploads it is the one whose user has the nearest number (the same user, if one of its uploads is
    legal); among these the one whose layer has the nearest number, and among these the one whose server has. Of
    uploads that are equally near in all this, it is the one with the lowest number.
    """
    stop = mask.shape[0] - 1
    u, v, s = upload_of(action, layers, servers)
    nearest, least = stop, mask.shape[0]
    for other in range(stop):
        if mask[other] != 0:
            other_u, other_v, other_s = upload_of(other, layers, servers)
            distance = (abs(other_u - u) * layers + abs(other_v - v)) * servers + abs(other_s - s)
            if distance < least:
                nearest, least = other, distance
    return int(nearest)
