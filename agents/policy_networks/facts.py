"""The policy network that sees plain facts: from an observation to a score per action and a value.

The weights do not depend on the numbers of users, layers and servers: all parts of one kind share them, and if users or
servers change places, their scores do so too. So a trained network also acts in environments of other sizes.

Several ways to embed layers were measured: PPO for 240 s of one core in `multi-user`, the learning rate falling to 0;
mean and interquartile mean of the delays in `scenarios("multi-user", 200, seed=2**41 + 1)` relative to joint
efficiency's, training seeds 1, 2 and 3 (22 November 2026):

| layers see | mean | of seeds | IQM | decisions |
|---|---|---|---|---|
| themselves alone | 1.138 | 1.134, 1.137, 1.143 | 1.152 | 534 000 |
| their two neighbours | 1.144 | 1.165, 1.137, 1.130 | 1.148 | 530 000 |
| two rounds of messages between neighbours (this network) | 1.128 | 1.117, 1.127, 1.139 | 1.117 | 270 000 |
| two rounds of messages along the edges of the graph | 1.125 | 1.131, 1.130, 1.115 | 1.114 | 280 000 |
| all before and after, by gated recurrence | 1.129 | 1.132, 1.135, 1.119 | 1.110 | 238 000 |
| all others, by attention | 1.129 | 1.121, 1.157, 1.109 | 1.116 | 182 000 |

So whatever sees further than the neighbours is 1 to 3 % better, and these ways cannot be told apart. Messages along the
chain are kept, though observations name all edges (after grouping 78 % of them lead to the next layer). What
an agent learns from matters more: GRPO after a warm start is below 1.01 within minutes (`agents.learning.grpo`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from dnnmig_env.envs.facts.lanes import TRANSFER_FEATURES
from dnnmig_env.envs.facts.layout import LINK_FEATURES, SERVER_FEATURES, TIME_FEATURES, USER_FEATURES, FactsLayout
from dnnmig_env.envs.facts.network import LAYER_FEATURES
from dnnmig_env.envs.features import names

ROUNDS = 2
"""Rounds of messages between neighbouring layers."""

ILLEGAL = -1e8
"""Score of an illegal action. It is finite, so that entropies stay free of NaN, yet the action's probability is exactly
0."""

INITIAL_EFFICIENCY = 4.0
"""Exponent of a layer's efficiency in its probability before training, so that exploration stays near the greedy
order."""

INITIAL_STOP, INITIAL_DEVICE = -7.0, -2.0
"""Scores of "stop" before training, relative to that of the best upload. With the first, "stop" ends all uploads in one
decision in a thousand only, as episodes have a hundred; with the second, it places a layer on the device."""

LOG_SCALES = {
    "log_device_delay": (-0.5, 2.0),
    "log_up_rate": (6.5, 2.0),
    "log_speedup": (1.0, 2.0),
    "log_weight": (6.0, 3.0),
}
"""(middle, width) with which observations scale decimal logarithms: log10(x) = middle + width * feature."""

# The last feature of a layer is a layer's number, which means nothing to a network for any number of layers.
_LAYER_WIDTH = len(LAYER_FEATURES) - 1
_EXISTS = names(LAYER_FEATURES).index("exists")
_LEAST_SHARE = 1e-4
_LN_10 = 2.302585


_RADIO, _WIRE = ("exists", "log_left", "waits"), ("exists", "log_left")
"""What is looked at of the transfer by radio of a user, and of that on the wire of a server."""


class Parts(NamedTuple):
    """What is looked at in a batch of observations; `dnnmig_env.envs.facts` names the features (last axis).

    Where there are several lanes, servers have three features more (the wire's transfer, and room), users four (the
    radio transfer, and absence), and links one (the cell).
    """

    time: Tensor  # (B, 4)
    servers: Tensor  # (B, S, 6 or 9)
    users: Tensor  # (B, U, 10 or 14)
    links: Tensor  # (B, U, S, 6 or 7)
    layers: Tensor  # (B, U, L, 13)
    there: Tensor  # (B, U, L, S): 1 if the layer's weights are, or will be, on the server, else 0


class FactsNetwork(nn.Module):
    """Scores "upload layer l of user u to server s" as an inner product of what is known of (u, l) and of (u, s).

    The embeddings of layers learn of each other by messages between neighbours, in rounds. Each (user, server) pair is
    embedded together with a summary of the user's layers and of all pairs. Two things are added to the embedding of a
    layer: where its two neighbours are, and the logarithm of the execution seconds saved per second of upload. The
    latter is the classical greedy order (IONN's efficiency), from which training starts.

    Args:
        layout: Sizes of the observations.
        width: Length of the embedding of a layer.
        context: Length of the embedding of a (user, server) pair and of the summary of everything.
    """

    def __init__(self, layout: FactsLayout, width: int = 32, context: int = 64) -> None:
        super().__init__()
        self.layout, self.width = layout, width
        of_server, of_user, of_link = len(SERVER_FEATURES), len(USER_FEATURES), len(LINK_FEATURES)
        if layout.lanes:
            of_server, of_user, of_link = of_server + len(_WIRE) + 1, of_user + len(_RADIO) + 1, of_link + 1
        self.layer_in = nn.Linear(_LAYER_WIDTH + 1, width)
        self.messages = nn.ModuleList(nn.Linear(3 * width, width) for _ in range(ROUNDS))
        self.layer_out = nn.Linear(width, width)
        self.user = nn.Linear(of_user + 2 * width, context)
        self.server = nn.Linear(of_server, context, bias=False)
        self.link = nn.Linear(of_link + 2, context, bias=False)
        self.summary = nn.Linear(len(TIME_FEATURES) + context, context)
        self.pair = nn.Linear(context, context)
        self.pair_context = nn.Linear(context, context, bias=False)
        self.query = nn.Linear(context, width + 4)  # layer's embedding, efficiency, before, after, pair alone
        self.efficiency = nn.Parameter(torch.tensor(INITIAL_EFFICIENCY))
        self.stop = nn.Linear(context + len(TIME_FEATURES), 1)
        self.value = nn.Sequential(nn.Linear(context, context), nn.ReLU(), nn.Linear(context, 1))
        for last in (self.query, self.stop):
            nn.init.uniform_(last.weight, -0.01, 0.01)
            nn.init.zeros_(last.bias)
        with torch.no_grad():
            self.stop.bias.fill_(INITIAL_STOP)
            self.stop.weight[0, names(TIME_FEATURES).index("placing")] = INITIAL_DEVICE - INITIAL_STOP

    def forward(self, observation: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores and values.

        Args:
            observation: Flat observations, shape (B, D).
            mask: The legal actions, which are not 0, shape (B, A).

        Returns:
            Scores of the actions, shape (B, A), `ILLEGAL` for illegal ones, and values, shape (B, 1).
        """
        parts = split(observation, self.layout)
        of_layer, of_link = log_efficiency(parts)
        layers = self._embed_layers(parts.layers, of_layer)
        pairs, summary = self._embed_pairs(parts, layers)
        query = self.query(pairs)
        by_layer, efficiency, before, after, alone = query.split([self.width, 1, 1, 1, 1], dim=-1)
        factor = self.efficiency + efficiency
        keys = torch.cat([layers, of_layer, torch.ones_like(of_layer), *neighbours(parts.there)], dim=-1)
        queries = torch.cat(
            [
                by_layer,
                factor,
                factor * of_link + alone,
                torch.diag_embed(before.squeeze(-1)),
                torch.diag_embed(after.squeeze(-1)),
            ],
            dim=-1,
        )
        scores = torch.matmul(keys, queries.transpose(-1, -2)).flatten(1)
        uploads = torch.where(mask[:, :-1] > 0, scores, ILLEGAL)
        # The score of "stop" is relative to that of the best upload, as efficiencies have no natural zero.
        stop = self.stop(torch.cat([parts.time, summary], dim=-1))
        stop = stop + uploads.amax(-1, keepdim=True).clamp(min=0.1 * ILLEGAL)
        # An illegal "stop" stays above other illegal actions: even an empty mask leads to "stop", which breaks nothing.
        stop = torch.where(mask[:, -1:] > 0, stop, 0.5 * ILLEGAL)
        return torch.cat([uploads, stop], dim=1), self.value(summary)

    def _embed_layers(self, layers: Tensor, of_layer: Tensor) -> Tensor:
        """Return an embedding of each layer from the features of those at most `ROUNDS` away, (B, U, L, width)."""
        placed = (layers[..., 1:2] > 0).to(layers.dtype)  # a server's number means nothing; `neighbours` says where
        exists = layers[..., _EXISTS : _EXISTS + 1] > 0
        seen = layers[..., 2:_LAYER_WIDTH]
        own = torch.cat([layers[..., :1], placed, seen, torch.where(exists, of_layer / 5.0, 0.0)], dim=-1)
        embedded = torch.relu(self.layer_in(own)) * exists
        for exchange in self.messages:
            around = functional.pad(embedded, (0, 0, 1, 1))
            triples = torch.cat([around[..., :-2, :], embedded, around[..., 2:, :]], dim=-1)
            embedded = torch.relu(exchange(triples)) * exists  # padding sends nothing
        return torch.relu(self.layer_out(embedded))

    def _embed_pairs(self, parts: Parts, layers: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings of the (user, server) pairs, (B, U, S, context), and of everything, (B, context)."""
        exists = parts.layers[..., _EXISTS]
        pooled = _means(torch.stack([exists, parts.layers[..., 0]], dim=-2), layers)
        users = torch.cat([parts.users, pooled.flatten(-2)], dim=-1)
        executed = torch.stack([parts.layers[..., 3], parts.layers[..., 3] * parts.layers[..., 2]], dim=-1)
        links = torch.cat([parts.links, torch.matmul(parts.there.transpose(-1, -2), executed)], dim=-1)
        pairs = self.link(links) + (self.server(parts.servers).unsqueeze(1) + self.user(users).unsqueeze(2))
        pairs = torch.relu(pairs)
        reachable = (parts.users[:, :, None, 0] * parts.servers[:, None, :, 0]).flatten(1)
        average = _means(reachable.unsqueeze(1), pairs.flatten(1, 2)).squeeze(1)
        summary = torch.relu(self.summary(torch.cat([parts.time, average], dim=-1)))
        return torch.relu(self.pair(pairs) + self.pair_context(summary)[:, None, None]), summary


def split(observation: Tensor, layout: FactsLayout) -> Parts:
    """Take a batch of flat observations apart."""

    def part(name: str) -> Tensor:
        taken: Tensor = observation[:, layout.slices[name]].unflatten(1, layout.shapes[name])
        return taken

    time, servers, users, links, layers = map(part, ("time", "servers", "users", "links", "layers"))
    if not layout.lanes:
        return Parts(time, servers, users, links, layers, whereabouts(layers, layout.servers))
    radio, wires = part("transfers").split([layout.users, layout.servers], dim=1)
    feature = names(TRANSFER_FEATURES).index
    servers = torch.cat([servers, wires[..., [feature(name) for name in _WIRE]], part("rooms")], dim=-1)
    users = torch.cat([users, radio[..., [feature(name) for name in _RADIO]], part("absences")], dim=-1)
    there = (part("copies").squeeze(-1) != 0).to(layers.dtype)
    return Parts(time, servers, users, torch.cat([links, part("cells")], dim=-1), layers, there)


def log_efficiency(parts: Parts) -> tuple[Tensor, Tensor]:
    """Return ln of the execution seconds saved per second of upload, as a layer's term plus a link's term.

    These are the seconds saved per query, weighted by the user's share of all queries: for layer l on server s,
    `share_l * device delay * (1 - 1 / speedup_s) * query share / (weight bytes / uplink rate)`.

    Returns:
        Terms of shape (B, U, L, 1) and (B, U, S, 1).
    """
    tau = torch.exp(-_LN_10 * _log10(parts.links[..., 3:4], "log_speedup"))
    saving = torch.log((1.0 - tau).clamp(min=_LEAST_SHARE))
    queries = torch.log(parts.users[..., 1:2].clamp(min=_LEAST_SHARE))
    delay = _LN_10 * _log10(parts.users[..., 3:4], "log_device_delay")
    rate = _LN_10 * _log10(parts.links[..., 0:1], "log_up_rate")
    share = torch.log(parts.layers[..., 3:4].clamp(min=_LEAST_SHARE))
    megabytes = _LN_10 * (_log10(parts.layers[..., 4:5], "log_weight") - 6.0)
    return share - megabytes, saving + rate - _LN_10 * 6.0 + (queries + delay).unsqueeze(2)


def whereabouts(layers: Tensor, servers: int) -> Tensor:
    """Return on which of S servers each layer's weights are, or will be, as 0 or 1, from the features of layers.

    Shape (B, U, L, S), for features of shape (B, U, L, 13). Weights are on one server at most.
    """
    node = torch.round(layers[..., 1:2] * servers).long().clamp(0, servers)
    shape = (*node.shape[:-1], servers + 1)
    return torch.zeros(shape, dtype=layers.dtype, device=node.device).scatter_(-1, node, 1.0)[..., 1:]


def neighbours(there: Tensor) -> tuple[Tensor, Tensor]:
    """Return whether the layer before, and the one after, is on each server, shape (B, U, L, S) each.

    `there` is that of `Parts`.
    """
    return functional.pad(there[:, :, :-1], (0, 0, 1, 0)), functional.pad(there[:, :, 1:], (0, 0, 0, 1))


def _log10(feature: Tensor, name: str) -> Tensor:
    """Return the decimal logarithm behind a scaled feature."""
    middle, width = LOG_SCALES[name]
    return middle + width * feature


def _means(weights: Tensor, values: Tensor) -> Tensor:
    """Return weighted means over the last but one dimension.

    Args:
        weights: Shape (..., K, N).
        values: Shape (..., N, C).

    Returns:
        Means, shape (..., K, C).
    """
    return torch.matmul(weights / weights.sum(-1, keepdim=True).clamp(min=1.0), values)
