"""The project's policy with one part of its network left out, for the study of what each part is worth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agents.learning.masked_policy import MaskedActorCriticPolicy
from agents.policy_networks.facts import FactsNetwork
from agents.policy_networks.parts import Parts
from agents.policy_networks.whole import Outlook


class WithoutSums(MaskedActorCriticPolicy):
    """Its network is given no sums over whole runs of layers (`agents.policy_networks.whole`), but zeros."""

    def make_network(self) -> nn.Module:
        """Return a new policy network."""
        return _NoSums(self.layout, self.width, self.context)


class WithoutMessages(MaskedActorCriticPolicy):
    """Its network embeds every layer by itself; layers do not learn of their neighbours."""

    def make_network(self) -> nn.Module:
        """Return a new policy network."""
        network = FactsNetwork(self.layout, self.width, self.context)
        network.messages = nn.ModuleList()
        return network


class _NoSums(FactsNetwork):
    def _embed_layers(self, layers: Tensor, sums: Tensor) -> Tensor:
        return super()._embed_layers(layers, torch.zeros_like(sums))

    def _embed_pairs(self, parts: Parts, ahead: Outlook, layers: Tensor) -> tuple[Tensor, Tensor]:
        return super()._embed_pairs(parts, ahead._replace(pairs=torch.zeros_like(ahead.pairs)), layers)
