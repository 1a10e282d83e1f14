"""Which network sees which observations."""

from __future__ import annotations

from collections.abc import Sequence

from agents.candidates.layout import CandidateLayout
from agents.candidates.network import CandidateNetwork
from agents.policy_networks.facts import MigrationNetwork
from dnnmig_env.envs.facts import FactsLayout
from dnnmig_env.envs.observer import ObservationKind

Sizes = tuple[int, int, int]
"""Most users, layers per network and servers: (U, L, S)."""

Network = MigrationNetwork | CandidateNetwork


def make_network(
    observation: ObservationKind, sizes: Sizes, width: int, context: int, blind: Sequence[str] = ()
) -> Network:
    """Return a new network.

    Args:
        observation: The kind of observation that it is to see.
        sizes: Sizes of the environment.
        width: Of the layers' embeddings (plain).
        context: Of the pairs' embeddings and the summary (plain), of all embeddings (candidates).
        blind: Names of features of candidates that it does not see.

    Raises:
        ValueError: If there is no such feature, or the network sees no candidates.
    """
    if observation == "candidates":
        return CandidateNetwork(CandidateLayout(*sizes), context, blind)
    if blind:
        raise ValueError(
            f"blind is {', '.join(blind)}, but these are features of candidates and observation is {observation!r}; "
            'take observation="candidates", or hide nothing.'
        )
    return MigrationNetwork(FactsLayout(*sizes), width, context)
