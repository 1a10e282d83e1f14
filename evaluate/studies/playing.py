"""Plays the policies of a study: a table of delays for each row, training seeds by scenarios."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from agents.policies.name import ModelName, OwnName, PolicyName, parse_policy_name, replanning
from dnnmig_env.arrays import Floats
from dnnmig_env.envs.batch import DecisionMode
from dnnmig_env.families.registry import Generator
from dnnmig_env.scenarios.scenario import Scenario
from evaluate.compare.playing import Part, parts_left, play_all, the_record
from evaluate.compare.record import Record
from evaluate.compare.rollout import Arena
from evaluate.output.journal import Journal
from evaluate.parallel import Workers


def played_s(
    names: Sequence[str],
    generator: Generator,
    scenarios: Sequence[Scenario],
    seed: int,
    journal: Journal[Record] | None = None,
    title: str = "",
    workers: Workers = Workers(),  # noqa: B008  immutable
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
        workers: Who plays.

    Raises:
        ValueError: If a name is not that of a policy, or the policy cannot act here.
    """
    delays_s = np.zeros((len(names), len(scenarios)))
    rows, keys = dict[Part, int](), list[str]()
    for row, name in enumerate(names):
        who, policy, decisions = _acting(name, generator)
        keys.append(f"{title}: {who}")
        known = {} if journal is None else journal.known.get(keys[row], {})
        for number, record in known.items():
            delays_s[row, number] = record.mean_delay_s
        arena = Arena(generator.limits, scenarios, generator.family, decisions)
        rows |= dict.fromkeys(parts_left(name, policy, seed, arena, known), row)
    for part, records in play_all(list(rows), workers, the_record):
        row = rows[part]
        for record in records:
            delays_s[row, record.scenario] = record.mean_delay_s
            if journal is not None:
                journal.add(keys[row], record.scenario, record)
    return delays_s


def _acting(text: str, generator: Generator) -> tuple[str, PolicyName, DecisionMode]:
    """Return by what name a policy's records are kept, the policy that plays, and how it decides."""
    name = parse_policy_name(text)
    decisions: DecisionMode = "joint"
    who = text
    if isinstance(name, ModelName):
        from agents.policies.trained import find

        # A model goes by its contents, as its file may be replaced by another one before the study goes on.
        contents = find(name.path(generator.family)).read_bytes()
        who = repr(replace(name, model=hashlib.sha256(contents).hexdigest()))
    elif isinstance(name, OwnName):
        from agents.policies.own_policy import own_digest

        who = f"{text} {own_digest(name)}"
    if isinstance(name, ModelName) and not name.samples:
        from agents.policies.trained import read_card

        decisions = cast(DecisionMode, read_card(name.path(generator.family)).decisions)
    elif generator.limits.slots > 1:
        name = replanning(name)
    return who, name, decisions
