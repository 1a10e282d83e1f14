"""Scenarios with many users at once: the setting of the DNN migration article and of MJOA-MU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dnnmig_env.families.draw.ranges import CountRange
from dnnmig_env.families.edge_cloud import EdgeCloud


@dataclass(frozen=True)
class MultiUser(EdgeCloud):
    """Draws scenarios as `EdgeCloud` does, with its options and distributions, but of 4 to 8 users and 2 to 3 edges.

    So all users wait for the one channel, and they share servers. Which user's layers are uploaded first, and which
    users keep off each other's servers, matters more than the order of any one user's layers.
    """

    num_users: CountRange = (4, 8)
    num_edges: CountRange = (2, 3)

    family: ClassVar[str] = "multi-user"
