"""Which network sees which observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import nn

from agents.policy_networks.facts import FactsNetwork
from dnnmig_env.envs.facts import FactsLayout
from dnnmig_env.envs.observer import ObservationKind, load

Sizes = tuple[int, int, int]
"""Most users, layers per network and servers: (U, L, S)."""

NETWORKS = {"candidates": "agents.candidates.network:make_candidate_network"}
"""Module and function of what makes the network of a kind of observations, if not `FactsNetwork`."""


def make_network(
    observation: ObservationKind, sizes: Sizes, width: int, context: int, blind: Sequence[str] = ()
) -> nn.Module:
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
    if observation in NETWORKS:
        return cast(nn.Module, load(NETWORKS[observation])(sizes, context, blind))
    if blind:
        raise ValueError(
            f"blind is {', '.join(blind)}, but these are features of candidates and observation is {observation!r}; "
            'take observation="candidates", or hide nothing.'
        )
    return FactsNetwork(FactsLayout(*sizes), width, context)
