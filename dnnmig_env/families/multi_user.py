"""Many users at once: the setting of the DNN migration article and of MJOA-MU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dnnmig_env.families.draw.ranges import CountRange
from dnnmig_env.families.edge_cloud import EdgeCloud


@dataclass(frozen=True)
class MultiUser(EdgeCloud):
    """Draws scenarios as `EdgeCloud` does, with its options and distributions, but of 4 to 8 users and 2 to 3 edges.

    So the one channel is what everybody waits for, and servers are shared: who comes first, and who stays out of
    whose way, matters more than any user's own order.
    """

    num_users: CountRange = (4, 8)
    num_edges: CountRange = (2, 3)

    family: ClassVar[str] = "multi-user"
