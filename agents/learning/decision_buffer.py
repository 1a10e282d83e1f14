"""What learning from hindsight remembers: moments, and what every choice would have been worth at each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_PARTS = ("observation", "action", "gain", "taken")
"""Names of the tensors in a `DecisionBuffer`."""


class DecisionBuffer:
    """Ring buffer of N moments with what K candidates and waiting were worth at each.

    Args:
        places: Number of moments, N.
        size: Length of an observation, D.
        choices: Number of choices at a moment, K + 1.
    """

    def __init__(self, places: int, size: int, choices: int) -> None:
        self.observation = torch.zeros((places, size))
        self.action = torch.zeros((places, choices), dtype=torch.long)
        self.gain = torch.zeros((places, choices))  # against the action taken; NaN = that action, or no candidate
        self.taken = torch.zeros(places, dtype=torch.long)  # the action that was decided
        self._next, self.count = 0, 0

    def add(self, observation: Tensor, action: Tensor, gain: Tensor, taken: Tensor) -> None:
        """Add moments in place of the oldest ones."""
        places = len(self.observation)
        at = (self._next + torch.arange(len(observation))) % places
        self.observation[at], self.action[at], self.gain[at], self.taken[at] = observation, action, gain, taken
        self._next, self.count = (self._next + len(observation)) % places, min(places, self.count + len(observation))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the moments, and where the next one goes."""
        parts = {name: getattr(self, name)[: self.count].numpy() for name in _PARTS}
        return {**parts, "position": np.array([self._next, self.count])}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `arrays` returned.

        Raises:
            ValueError: If it is of a buffer of another size.
        """
        position, count = (int(number) for number in arrays["position"])
        if not (0 <= position < len(self.observation) and 0 <= count <= len(self.observation)):
            raise ValueError(f"{count} moments, the next one at {position}, for {len(self.observation)} places")
        for name in _PARTS:
            part: Tensor = getattr(self, name)[:count]
            if arrays[name].shape != tuple(part.shape):
                raise ValueError(f"{name} of the moments has shape {arrays[name].shape}, not {tuple(part.shape)}")
            part.copy_(torch.as_tensor(arrays[name]))
        self._next, self.count = position, count
