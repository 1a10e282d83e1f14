"""What the compiled step leaves for the environments to read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Float32s, Floats, Int8s, Ints


class Outputs(NamedTuple):
    """What an environment reads after a step, for B rows and A actions."""

    observation: Float32s  # (B, D): the plain facts; D = 0 if an observer writes something else
    mask: Int8s  # (B, A): 1 for legal actions
    reward: Floats  # (B,): reward of the latest decision
    legal: Ints  # (B,): number of legal actions besides "stop"
    device_only_s: Floats  # (B,): J of uploading nothing


def new_outputs(rows: int, observation_size: int, actions: int) -> Outputs:
    """Return zeroed outputs for `rows` episodes."""
    return Outputs(
        observation=np.zeros((rows, observation_size), np.float32),
        mask=np.zeros((rows, actions), np.int8),
        reward=np.zeros(rows),
        legal=np.zeros(rows, np.int64),
        device_only_s=np.zeros(rows),
    )
