"""What the command line says of the measurement of MJOA-MU's claims."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from evaluate.parallel import Workers


@dataclass(frozen=True)
class MjoaMuConfig(Workers):
    """Measure what MJOA-MU claims: how much faster are cold starts when uploads go on while layers execute?

    First one user and one edge, on a grid of networks, access rates and machines, are compared with serial uploading.
    Then several users with ARA's shares are compared with equal shares. PBT-DP places the layers in all cases. Tables
    are printed. The folder --out receives mjoa_mu.json (a row per setting), table.md and mjoa_mu.png. If the command is
    stopped, the same command goes on where it was.
    """

    out: Path
    """Folder to which the results are written."""
    networks: tuple[str, ...] = (
        "alexnet",
        "vgg16",
        "resnet50",
        "inception_v3",
        "mobilenet_v2",
        "vit_b_16",
        "swin_t",
        "bert_base",
        "gpt2",
        "whisper_tiny_encoder",
    )
    """Names of networks of the zoo."""
    layers: int = 32
    """Most layers of a network. Larger networks are merged to this number."""
    mbps: tuple[float, ...] = (10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1000.0)
    """Access rates of one user in Mbps, the same up and down. Several users draw theirs from 10 to 160 Mbps, and from
    100 to 1000 Mbps."""
    edge_tflops: tuple[float, ...] = (0.2, 0.6, 2.0)
    """Speeds of the edge in TFLOP/s. For several users, the speed is drawn between the least and the greatest."""
    device_gflops: tuple[float, ...] = (1.0, 5.0, 20.0)
    """Speeds of devices in GFLOP/s. For several users, they are drawn between the least and the greatest."""
    users: tuple[int, ...] = (2, 3, 4, 5, 6)
    """Numbers of users of one edge."""
    scenarios: int = 20
    """Number of scenarios to draw for each number of users."""
    seed: int = 1
    """Seed of the scenarios."""
    overwrite: bool = False
    """Write into a folder that is not empty. Files of an earlier run are replaced, and one of other settings, if it was
    stopped, is given up."""

    def check(self) -> None:
        """Check the numbers, and who does the work.

        Raises:
            ValueError: If there is nothing to measure, a number is too small, or there are no such workers.
        """
        self.check_workers()
        for name in ("networks", "mbps", "edge_tflops", "device_gflops", "users"):
            if not getattr(self, name):
                raise ValueError(f"--{name.replace('_', '-')} is empty; give at least one.")
        for name in ("mbps", "edge_tflops", "device_gflops"):
            if not all(0 < value < math.inf for value in getattr(self, name)):
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}; give positive numbers.")
        for name, least in (("layers", 1), ("scenarios", 1), ("seed", 0), ("users", 1)):
            given = getattr(self, name)
            if min(given) < least if name == "users" else given < least:
                raise ValueError(f"--{name} is {given}; it must be at least {least}.")
