"""Curricula: training begins with easier scenarios, such as fewer users, and goes over to the family's own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from dnnmig_env.families.registry import Generator
from dnnmig_env.simulation.packed import Limits, Problem, empty_problem
from dnnmig_env.simulation.scenario_batch import ScenarioBatch


class Curriculum:
    """Draws from one of two generators; environments have the sizes of the usual one throughout.

    Args:
        easy: Draws what training begins with.
        usual: Draws what it ends with.

    Attributes:
        progress: Share of the batches drawn that are usual, 0 at first.

    Raises:
        ValueError: If easy scenarios can be larger than usual ones.
    """

    def __init__(self, easy: Generator, usual: Generator) -> None:
        usual_sizes = asdict(usual.limits)
        for name, size in asdict(easy.limits).items():
            if size > usual_sizes[name]:
                raise ValueError(
                    f"--curriculum begins with up to {size} {name}, but usual scenarios have {usual_sizes[name]} at "
                    "most; begin with no more, or let --generator draw larger scenarios."
                )
        self.progress = 0.0
        self._easy, self._usual = easy, usual

    @property
    def family(self) -> str:
        """Name of the family."""
        return self._usual.family

    @property
    def limits(self) -> Limits:
        """Sizes of the largest scenario."""
        return self._usual.limits

    @property
    def chunk(self) -> int:
        """Number of scenarios that environments draw at a time."""
        return self._usual.chunk

    def draw(self, rng: np.random.Generator, count: int) -> ScenarioBatch:
        """Draw scenarios, all easy or all usual."""
        if rng.random() < self.progress:
            return self._usual.draw(rng, count)
        batch = self._easy.draw(rng, count)
        return ScenarioBatch(_widened(batch.problem, self.limits), batch.build)


class Advance(BaseCallback):
    """Lets a curriculum's progress grow linearly; it stays the same during a rollout, which may be played again.

    Args:
        curriculum: The curriculum.
        steps: Decisions after which all scenarios are usual ones.
        made: Decisions that a resumed run has made already; its first scenarios are drawn before its first rollout.
    """

    def __init__(self, curriculum: Curriculum, steps: float, made: int = 0) -> None:
        super().__init__()
        self._curriculum, self._steps = curriculum, steps
        self._advance(made)

    def _on_rollout_start(self) -> None:
        self._advance(self.num_timesteps)
        self.logger.record("curriculum/usual_scenarios", self._curriculum.progress)

    def _advance(self, made: int) -> None:
        self._curriculum.progress = min(1.0, made / self._steps)

    def _on_step(self) -> bool:
        return True


def _widened(p: Problem, limits: Limits) -> Problem:
    """Return a problem padded to larger limits."""
    wide = empty_problem(len(p.num_users), limits)
    for name, small in p._asdict().items():
        large: Any = getattr(wide, name)
        large[tuple(slice(size) for size in small.shape)] = small
    users, offsets = p.predecessor_offsets.shape[1:]
    wide.predecessor_offsets[:, :users, offsets:] = p.predecessor_offsets[..., -1:]  # further layers read nothing
    return wide
