"""A small network in plain torch, for runs of a few seconds: `examples/testbed_small.json` is its graph."""

from __future__ import annotations

from torch import Tensor, nn


class SmallNetwork(nn.Module):
    """Five convolutions and two linear layers on images of 3 x 64 x 64 numbers, with a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(inplace=True))
        self.second = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(inplace=True))
        self.third = nn.Sequential(nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        self.fourth = nn.Sequential(nn.Conv2d(64, 96, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        self.fifth = nn.Sequential(nn.Conv2d(96, 128, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        self.sixth = nn.Sequential(nn.Flatten(), nn.Linear(128 * 8 * 8, 256), nn.ReLU(inplace=True))
        self.last = nn.Linear(256, 100)

    def forward(self, image: Tensor) -> Tensor:
        """Return the scores of 100 classes, shape (1, 100), of an image of shape (1, 3, 64, 64)."""
        first = self.first(image)
        second = self.second(first) + first
        scores: Tensor = self.last(self.sixth(self.fifth(self.fourth(self.third(second)))))
        return scores
