"""Makes the policy network that goes with a kind of observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import nn

from agents.policy_networks.facts import FactsNetwork
from dnnmig_env.envs.facts.layout import FactsLayout
from dnnmig_env.envs.observer import ObservationKind, load

Sizes = tuple[int, int, int]
"""Most users, layers per network and servers: (U, L, S)."""

NETWORKS = {"candidates": "agents.candidates.network:make_candidate_network"}
"""Module and function that make the network for a kind of observations; for all other kinds it is `FactsNetwork`."""


def make_network(
    observation: ObservationKind, sizes: Sizes, width: int, context: int, blind: Sequence[str] = ()
) -> nn.Module:
    """Return a new policy network.

    Args:
        observation: Kind of observations that the network is to see.
        sizes: Sizes of the environment.
        width: Length of the layers' embeddings (plain facts only).
        context: Length of the embeddings of (user, server) pairs and of the summary (plain facts), or of all embeddings
            (candidates).
        blind: Names of features of candidates that the network does not see.

    Raises:
        ValueError: If a name in `blind` is no feature, or is given for a network that sees no candidates.
    """
    if observation in NETWORKS:
        return cast(nn.Module, load(NETWORKS[observation])(sizes, context, blind))
    if blind:
        raise ValueError(
            f"blind is {', '.join(blind)}, but these are features of candidates and observation is {observation!r}; "
            'take observation="candidates", or hide nothing.'
        )
    return FactsNetwork(FactsLayout(*sizes), width, context)
