"""Plays the policies of a study: a table of delays for each row, training seeds by scenarios."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from agents.policies.name import ModelName, parse_policy_name, replanning
from dnnmig_env.arrays import Floats
from dnnmig_env.envs.batch import DecisionMode
from dnnmig_env.families.registry import Generator
from dnnmig_env.scenarios.scenario import Scenario
from evaluate.compare.record import Record
from evaluate.compare.rollout import Arena
from evaluate.output.journal import Journal


def played_s(
    names: Sequence[str],
    generator: Generator,
    scenarios: Sequence[Scenario],
    seed: int,
    journal: Journal[Record] | None = None,
    title: str = "",
) -> Floats:
    """Return the mean query delays of policies in the same scenarios, shape (policies, scenarios).

    A model decides as it was trained to, jointly or in two phases. Planners decide jointly, which does not keep them
    from placing everything before the first upload. Where rates change, every policy that plans does so anew at every
    decision, as models, too, see the present whenever they decide.

    Args:
        names: Names of the policies, as `parse_policy_name` takes them.
        generator: Gives the environments their sizes.
        scenarios: The scenarios.
        seed: Seed of whatever is random in a policy.
        journal: Keeps the records, and knows those of earlier; by default nothing does.
        title: What distinguishes the scenarios from others in the journal.

    Raises:
        ValueError: If a name is not that of a policy, or the policy cannot act here.
    """
    return np.stack([_played_s(name, generator, scenarios, seed, journal, title) for name in names])


def _played_s(
    text: str,
    generator: Generator,
    scenarios: Sequence[Scenario],
    seed: int,
    journal: Journal[Record] | None,
    title: str,
) -> Floats:
    name = parse_policy_name(text)
    decisions: DecisionMode = "joint"
    who = text
    if isinstance(name, ModelName):
        from agents.policies.trained import find

        # A model goes by its contents, as its file may be replaced by another one before the study goes on.
        contents = find(name.path(generator.family)).read_bytes()
        who = repr(replace(name, model=hashlib.sha256(contents).hexdigest()))
    if isinstance(name, ModelName) and not name.samples:
        from agents.policies.trained import read_card

        decisions = cast(DecisionMode, read_card(name.path(generator.family)).decisions)
    elif generator.limits.slots > 1:
        name = replanning(name)
    arena = Arena(generator.limits, scenarios, generator.family, decisions)
    key = f"{title}: {who}"
    known = {} if journal is None else dict(journal.known.get(key, {}))

    def on_end(record: Record) -> None:
        if journal is not None:
            journal.add(key, record.scenario, record)

    return arena.roll_out(*arena.policy(name, seed), on_end, known).mean_delay_s
