"""To which cell each user goes next: a small network that learns the habits of a place by heart.

Where weights move between servers, they are best sent ahead to the cell to which their user goes. Where that is follows
from where the user is and how it moves now, if one knows the streets, the places and who goes where; that is in no
formula, but in every trip. The network learns it from trips alone (`agents.learning.next_cells`), before the policy
learns to decide, and is not changed any more then. What it says are features of pairs of user and server.

In the town of `city`, it names the right next cell 70 % of the time, counts of which cell followed which (`@markov`)
55 %, and the velocity 21 %; gradient boosting that also sees each user's past comes to 71 % (400 trips, all of their
moments before a change of cells, 29 November 2026).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

OUTPUTS = 2
"""What is predicted: the next other cell, and the cell `agents.learning.next_cells.LATER_S` seconds later."""

NEXT_CELL_FEATURES = 3
"""Number of features that follow for each pair of user and server."""

WIDTH, PLACE_WIDTH, RANK = 128, 32, 32
"""Numbers of hidden units for courses, and for places and geometry, and the length of the inner products."""

OCTAVES = 4
"""Positions are described by sines and cosines of 1, 2, 4, ... half waves per side of the area, in this number of
octaves, so that streets that lie close to each other can be told apart."""


class NextCells(nn.Module):
    """Scores for each user, from its position and velocity, which cell it enters.

    A server's score is an inner product of what is made of the user's course and of the server's place, plus what
    follows from the course relative to the server. So it can learn one town by heart, and still says something where
    servers stand elsewhere in every scenario.

    Args:
        geometry: Number of features that say where each user is going relative to each server.
    """

    def __init__(self, geometry: int) -> None:
        super().__init__()
        self.course = nn.Sequential(nn.Linear(_described(2) + 5, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
        self.of_course = nn.Linear(WIDTH, OUTPUTS * RANK)
        self.of_place = _two_layers(_described(2), PLACE_WIDTH, OUTPUTS * RANK)
        self.of_geometry = _two_layers(geometry + 1, PLACE_WIDTH, OUTPUTS)
        self.none = nn.Linear(WIDTH, OUTPUTS)

    def forward(self, courses: Tensor, places: Tensor, home: Tensor, geometry: Tensor, exists: Tensor) -> Tensor:
        """Return logarithmic probabilities, shape (N, OUTPUTS, S + 1): of each server's cell, and last of none.

        Args:
            courses: Position from the centre in sides of the area, and velocity, features of users, shape (N, 4).
            places: Positions of the servers, shape (N, S, 2).
            home: 1 for the cell in which the user is, else 0, shape (N, S).
            geometry: Where the user is going relative to each server, shape (N, S, G).
            exists: Whether there is such a server, shape (N, S).
        """
        position, velocity = courses[:, :2], courses[:, 2:]
        speed = velocity.norm(dim=1, keepdim=True)
        seen = torch.cat([_description(position), velocity, velocity / speed.clamp(min=1e-3), speed], dim=1)
        course = self.course(seen)
        of_course = self.of_course(course).unflatten(1, (OUTPUTS, RANK))
        of_place = self.of_place(_description(places)).unflatten(2, (OUTPUTS, RANK))
        scores = torch.einsum("nkw,nskw->nks", of_course, of_place) / RANK**0.5
        scores = scores + self.of_geometry(torch.cat([geometry, home.unsqueeze(-1)], dim=-1)).transpose(1, 2)
        scores = scores.masked_fill(~exists.unsqueeze(1), -torch.inf)
        return torch.cat([scores, self.none(course).unsqueeze(-1)], dim=-1).log_softmax(-1)

    def features(self, probabilities: Tensor) -> Tensor:
        """Return what the policy network sees of logarithmic probabilities, shape (N, S, NEXT_CELL_FEATURES).

        These are the probability that the cell is the next one, the same by that of the likeliest cell, and the
        probability that the user is there a little later.
        """
        following, later = probabilities[..., :-1].exp().unbind(1)
        likeliest = following.amax(1, keepdim=True).clamp(min=1e-6)
        return torch.stack([following, following / likeliest, later], dim=-1)


def _two_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def _described(numbers: int) -> int:
    return numbers * (1 + 2 * OCTAVES)


def _description(position: Tensor) -> Tensor:
    """Return positions beside their sines and cosines, shape (..., _described(2)), for positions of shape (..., 2)."""
    octaves = torch.pi * 2.0 ** torch.arange(OCTAVES, dtype=position.dtype, device=position.device)
    angles = (position.unsqueeze(-1) * octaves).flatten(-2)
    return torch.cat([position, angles.sin(), angles.cos()], dim=-1)
