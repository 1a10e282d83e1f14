"""Compares, in one scenario, the delays that the model gives to queries with those that they met."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.timeline import Timeline
from evaluate.compare.record import Record
from evaluate.truth.simulator.outcome import Outcome
from evaluate.truth.simulator.simulation import play_out


@dataclass(frozen=True)
class TruthRecord:
    """What came of a plan in one scenario, in the model and in the simulation.

    Both delays are means over the same queries, from all repetitions. Each query weighs as much as its user's rate
    times the time up to its user's next start (see `Outcome.weights`); abandoned queries weigh nothing.

    Attributes:
        played: How the policy played the scenario, from which its plan follows.
        predicted_s: Mean of the delays that the model gives to queries at their starts; None if no query ended.
        experienced_s: Mean of the delays that queries met; None if no query ended.
        queries: Number of queries that started before the horizon, mean over the repetitions.
        abandoned: Number of them that were abandoned, mean over the repetitions.
        skipped: Number of frames that were skipped, mean over the repetitions.
        abandoned_share: Share that abandoned queries would have in the weights of all queries.
        user_ratios: The same ratio as `ratio` for each user alone, for those that ever left their device. Slow devices
            make up most of the mean over all users, so that these ratios are the harder test of contention.
    """

    played: Record
    predicted_s: float | None
    experienced_s: float | None
    queries: float
    abandoned: float
    skipped: float
    abandoned_share: float
    user_ratios: tuple[float, ...]

    @property
    def scenario(self) -> int:
        """Number of the scenario, from 0."""
        return self.played.scenario

    @property
    def ratio(self) -> float:
        """The model's delay divided by the simulation's: above 1 the model is too slow. NaN if no query ended."""
        if self.predicted_s is None or not self.experienced_s:
            return math.nan
        return self.predicted_s / self.experienced_s


def predicted_s(timeline: Timeline, outcome: Outcome) -> Floats:
    """Return the delay that the model gives to each simulated query, from the time of its start, shape (Q,)."""
    events = np.searchsorted(timeline.event_time_s, outcome.start_s, side="right") - 1
    delays_s: Floats = timeline.event_delay_s[events, outcome.user]
    return delays_s


def compared(
    played: Record, scenario: Scenario, plan: Plan, seed: int, repetitions: int, *, tensors_share: bool = False
) -> TruthRecord:
    """Play a plan in the model, and so many times in the simulation.

    Args:
        played: How the policy played the scenario.
        scenario: The scenario.
        plan: The plan.
        seed: Seed of the moments at which users start; scenarios and repetitions have moments of their own each, the
            plans in one scenario have the same.
        repetitions: Number of simulations.
        tensors_share: Whether tensors of one query slow each other; see `play_out`.
    """
    timeline = simulate(scenario, plan)
    seeds = [(seed, played.scenario, repetition) for repetition in range(repetitions)]
    outcomes = [play_out(scenario, plan, one, tensors_share=tensors_share) for one in seeds]
    weight, model_s, met_s = (np.zeros(len(scenario.users)) for _ in range(3))  # sums over the queries of each user
    for outcome in outcomes:
        delay_s = np.where(outcome.finished, outcome.delay_s, 0.0)
        weight += outcome.user_sums(outcome.weights)
        model_s += outcome.user_sums(outcome.weights * predicted_s(timeline, outcome))
        met_s += outcome.user_sums(outcome.weights * delay_s)
    lost, total = sum(float(outcome.abandoned_weights.sum()) for outcome in outcomes), float(weight.sum())
    leaves = np.any([outcome.present_s.any(axis=1) for outcome in outcomes], axis=0) & (met_s > 0.0)
    return TruthRecord(
        played=played,
        predicted_s=float(model_s.sum()) / total if total > 0.0 else None,
        experienced_s=float(met_s.sum()) / total if total > 0.0 else None,
        queries=sum(len(outcome.user) for outcome in outcomes) / repetitions,
        abandoned=sum(int(np.count_nonzero(~outcome.finished)) for outcome in outcomes) / repetitions,
        skipped=sum(float(outcome.frames_skipped.sum()) for outcome in outcomes) / repetitions,
        abandoned_share=lost / (lost + total) if lost else 0.0,
        user_ratios=tuple((model_s[leaves] / met_s[leaves]).tolist()),
    )
