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
chain are kept, though observations name all edges (after grouping 78 % of them lead to the next layer). Sums over whole
networks (`agents.policy_networks.whole`) are worth more: after 150 s of imitating joint efficiency in `edge-cloud` on
one core, a network that sees them takes 88.2 % of its decisions and needs 1.024 of its delay; without them it takes
84.8 % and needs 1.037 (200 held-out scenarios, one seed, 29 November 2026). What an agent learns from matters most:
GRPO after a warm start is below 1.01 within minutes (`agents.learning.groups.grpo`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.policy_networks.next_cells import NEXT_CELL_FEATURES, NextCells
from agents.policy_networks.parts import LAYER, LINK, RADIO, SERVER, WIRE, Parts, neighbours, split
from agents.policy_networks.whole import (
    BY_WIRE,
    GEOMETRY,
    LAYER_SUMS,
    PAIR_SUMS,
    Outlook,
    geometry,
    look_ahead,
    where_users_are,
)
from dnnmig_env.envs.facts.layout import LINK_FEATURES, SERVER_FEATURES, TIME_FEATURES, USER_FEATURES, FactsLayout
from dnnmig_env.envs.facts.network import LAYER_FEATURES
from dnnmig_env.envs.features import names

ROUNDS = 2
"""Rounds of messages between neighbouring layers."""

ILLEGAL = -1e8
"""Score of an illegal action. It is finite, so that entropies stay free of NaN, yet the action's probability is exactly
0."""

INITIAL_STOP, INITIAL_DEVICE = -7.0, -2.0
"""Scores of "stop" before training, relative to that of the best upload. With the first, "stop" ends all uploads in one
decision in a thousand only, as episodes have a hundred; with the second, it places a layer on the device."""

INITIAL_IDLE = -14.0
"""Where there are several lanes: what is added before training to the score of an upload that speeds up no query now,
as the layer is in use on a server already, or the server is out of the user's reach. Such uploads are for later, and
begin to be sent once it has been learned which are worth it."""

# The last feature of a layer is a layer's number, which means nothing to a network for any number of layers.
_LAYER_WIDTH = len(LAYER_FEATURES) - 1


class FactsNetwork(nn.Module):
    """Scores "upload layer l of user u to server s" as an inner product of what is known of (u, l) and of (u, s).

    The embeddings of layers learn of each other by messages between neighbours, in rounds. Each (user, server) pair is
    embedded together with a summary of the user's layers, with the user's other pairs, with other users on the server,
    and with a summary of everything. Three things are added to the embedding of a layer: where its two neighbours are,
    its seconds on the server, and the logarithm of the execution seconds saved per second of upload (IONN's
    efficiency). Training begins with layers in no order: a network that begins with the order of efficiency learns no
    faster by itself (0.442 and 0.438 of device-only after 400 000 decisions of GRPO in `multi-user`), and imitates
    joint efficiency less well (0.418 and 0.401 after 1500 episodes; 200 held-out scenarios, one seed, 30 November
    2026).

    Args:
        layout: Sizes of the observations.
        width: Length of the embedding of a layer.
        context: Length of the embedding of a (user, server) pair and of the summary of everything.
    """

    def __init__(self, layout: FactsLayout, width: int = 32, context: int = 64) -> None:
        super().__init__()
        self.layout, self.width = layout, width
        of_server, of_user, of_link = len(SERVER_FEATURES), len(USER_FEATURES), len(LINK_FEATURES) + PAIR_SUMS
        if layout.lanes:
            of_server, of_user, of_link = (
                of_server + len(WIRE) + 1,
                of_user + len(RADIO),
                of_link + 1 + BY_WIRE + GEOMETRY + NEXT_CELL_FEATURES,
            )
        self.layer_in = nn.Linear(_LAYER_WIDTH + LAYER_SUMS, width)
        self.messages = nn.ModuleList(nn.Linear(3 * width, width) for _ in range(ROUNDS))
        self.layer_out = nn.Linear(width, width)
        self.user = nn.Linear(of_user + 3 * width, context)
        self.server = nn.Linear(of_server, context, bias=False)
        self.link = nn.Linear(of_link, context, bias=False)
        self.own = nn.Linear(context, context)
        self.of_user = nn.Linear(context, context, bias=False)
        self.of_server = nn.Linear(context, context, bias=False)
        self.summary = nn.Linear(len(TIME_FEATURES) + 2 * context, context)
        self.everything = nn.Linear(context, context, bias=False)
        self.query = nn.Linear(context, width + 5)  # layer's embedding, efficiency, before, after, seconds, pair alone
        if layout.lanes:
            self.idle = nn.Parameter(torch.tensor(INITIAL_IDLE))
            self.next_cells = NextCells(GEOMETRY)
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
        with torch.no_grad():
            parts = split(observation, self.layout)
            ahead = look_ahead(parts, self.layout)
        layers = self._embed_layers(parts.layers, ahead.layers)
        pairs, summary = self._embed_pairs(parts, ahead, layers)
        query = self.query(pairs)
        by_layer, efficiency, before, after, seconds, alone = query.split([self.width, 1, 1, 1, 1, 1], dim=-1)
        of_layer, of_pair = ahead.layer_efficiency, ahead.pair_efficiency
        keys = torch.cat([layers, of_layer, torch.ones_like(of_layer), *neighbours(parts.there), ahead.seconds], dim=-1)
        queries = torch.cat(
            [
                by_layer,
                efficiency,
                efficiency * of_pair + alone,
                *(torch.diag_embed(x.squeeze(-1)) for x in (before, after, seconds)),
            ],
            dim=-1,
        )
        scores, legal = torch.matmul(keys, queries.transpose(-1, -2)), mask[:, :-1] > 0
        stop = self.stop(torch.cat([parts.time, summary], dim=-1))
        if self.layout.lanes:
            idle = idleness(parts)
            scores = scores + self.idle * idle
            all_idle = torch.where(legal, self._of_rows(idle, parts), 1.0).amin(-1, keepdim=True)
            stop = stop - self.idle * all_idle  # so that "stop" is preferred to uploads that are all idle
        uploads = torch.where(legal, self._of_rows(scores, parts), ILLEGAL)
        # The score of "stop" is relative to that of the best upload, as efficiencies have no natural zero.
        stop = stop + uploads.amax(-1, keepdim=True).clamp(min=0.1 * ILLEGAL)
        # An illegal "stop" stays above other illegal actions: even an empty mask leads to "stop", which breaks nothing.
        stop = torch.where(mask[:, -1:] > 0, stop, 0.5 * ILLEGAL)
        return torch.cat([uploads, stop], dim=1), self.value(summary)

    @torch.no_grad()
    def _foreseen(self, parts: Parts) -> list[Tensor]:
        """Return where users go and are expected to go, (N, S, GEOMETRY + NEXT_CELL_FEATURES), if there are lanes."""
        if not self.layout.lanes:
            return []
        where, exists = where_users_are(parts), parts.servers[..., SERVER.exists][parts.row] > 0
        going = torch.stack(geometry(*where), dim=-1)
        return [going, self.next_cells.features(self.next_cells(*where, going, exists))]

    def _of_rows(self, of_users: Tensor, parts: Parts) -> Tensor:
        """Return what is known of users' layers and servers, (N, L, S), for all rows, (B, U L S); absent users: 0."""
        found = of_users.new_zeros(len(parts.time), self.layout.users, of_users.shape[1] * of_users.shape[2])
        return found.index_put((parts.row, parts.user), of_users.flatten(1)).flatten(1)

    def _embed_layers(self, layers: Tensor, sums: Tensor) -> Tensor:
        """Return an embedding of each layer from the features of those at most `ROUNDS` away, (N, L, width)."""
        placed = (layers[..., LAYER.node, None] > 0).to(layers.dtype)  # where it is, `neighbours` says
        exists = layers[..., LAYER.exists, None]
        seen = layers[..., LAYER.node + 1 : _LAYER_WIDTH]
        embedded = torch.relu(self.layer_in(torch.cat([layers[..., :1], placed, seen, sums], dim=-1))) * exists
        for exchange in self.messages:
            around = functional.pad(embedded, (0, 0, 1, 1))
            triples = torch.cat([around[..., :-2, :], embedded, around[..., 2:, :]], dim=-1)
            embedded = torch.relu(exchange(triples)) * exists  # padding sends nothing
        return torch.relu(self.layer_out(embedded)) * exists

    def _embed_pairs(self, parts: Parts, ahead: Outlook, layers: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings of the (user, server) pairs, (N, S, context), and of everything, (B, context)."""
        kinds = torch.stack([parts.layers[..., LAYER.exists], parts.layers[..., LAYER.remaining]], dim=-2)
        users = torch.cat([parts.users, _means(kinds, layers).flatten(-2), layers.amax(-2)], dim=-1)
        links = torch.cat([parts.links, ahead.pairs, *self._foreseen(parts)], dim=-1)
        exists = parts.servers[..., :1][parts.row]
        pairs = self.link(links) + self.server(parts.servers)[parts.row] + self.user(users).unsqueeze(1)
        pairs = torch.relu(pairs) * exists
        on_servers = _sums(pairs, parts)
        mixed = (
            self.own(pairs) + self.of_user(pairs.amax(1, keepdim=True)) + self.of_server(0.25 * on_servers)[parts.row]
        )
        pairs = torch.relu(mixed) * exists
        count = torch.zeros_like(parts.time[:, :1]).index_add(0, parts.row, exists.sum(1)).clamp(min=1.0)
        greatest = torch.zeros_like(on_servers[:, 0]).scatter_reduce(
            0, parts.row.unsqueeze(1).expand(-1, pairs.shape[-1]), pairs.amax(1), "amax"
        )
        total = torch.cat([parts.time, _sums(pairs.sum(1), parts) / count, greatest], dim=-1)
        summary = torch.relu(self.summary(total))
        return torch.relu(pairs + self.everything(summary)[parts.row].unsqueeze(1)), summary


def idleness(parts: Parts) -> Tensor:
    """Return 1 for uploads that speed up no query now, else 0, shape (N, L, S); see `INITIAL_IDLE`."""
    in_use = parts.layers[..., LAYER.in_use, None] > 0
    out_of_reach = parts.links[:, None, :, LINK.log_up_rate] <= -1.0
    return (in_use | out_of_reach).to(parts.links.dtype)


def _sums(of_users: Tensor, parts: Parts) -> Tensor:
    """Return sums over the users of each row, (B, ...), of what is (N, ...)."""
    return of_users.new_zeros(len(parts.time), *of_users.shape[1:]).index_add(0, parts.row, of_users)


def _means(weights: Tensor, values: Tensor) -> Tensor:
    """Return weighted means over the last but one dimension.

    Args:
        weights: Shape (..., K, N).
        values: Shape (..., N, C).

    Returns:
        Means, shape (..., K, C).
    """
    return torch.matmul(weights / weights.sum(-1, keepdim=True).clamp(min=1.0), values)
