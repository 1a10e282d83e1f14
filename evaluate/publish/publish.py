"""From a training run to an agent that comes with the project: its weights, and a card that says how well it does."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from agents.policies.card import CARD, Card
from agents.policies.name import PRETRAINED
from agents.policies.trained import find, read_card
from agents.pretrained import AgentCard, Check, Figures, Measured, read_agent_card
from dnnmig_env.envs.batch import DecisionMode
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.files.folder_lock import locked
from dnnmig_env.files.provenance import machine, versions
from evaluate.compare.compare import roll_out_all
from evaluate.compare.results import Results
from evaluate.compare.rollout import Arena
from evaluate.compare.statistics import delay_ratios
from evaluate.compare.summary_table import HEADINGS, summary_rows
from evaluate.output.folder import write_folder
from evaluate.output.tables import print_table
from evaluate.parallel import Workers
from evaluate.publish.config import PublishConfig
from train.commands import commands_of_run
from train.folder import VERSIONS, read_config

CHECK_SCENARIOS = 1
"""Number of scenarios of the figure by which an agent is checked: one is enough to notice a change, and takes seconds
in `city`."""

_WEIGHTS = "policy.pth"
_ANY_DAY = (1980, 1, 1, 0, 0, 0)  # the same weights then make the same file, and the same digest


@dataclass(frozen=True)
class _Training:
    """What is known of a training: its seed, commands, versions, and the card of its best model."""

    seed: int
    commands: tuple[str, ...]
    made_with: dict[str, str | int]
    card: Card


def publish(config: PublishConfig) -> AgentCard:
    """Write FAMILY.zip and FAMILY.json for the best model of a run, or of an agent that is measured again.

    Return the card. Results are measured in scenarios that the family draws by default, whatever the training drew.

    Raises:
        ValueError: If the folder is not that of a run, the agent exists already, or a policy cannot be measured;
            nothing has been written then.
    """
    names = config.checked_policies
    training = _published(config.run) if config.run.suffix == ".zip" else _trained(config.run)
    if training.card.policy_class is not None or ":" in training.card.algorithm:
        own = training.card.policy_class or training.card.algorithm
        raise ValueError(
            f"{config.run} was trained with {own}, which is not part of this project; publish another run."
        )
    family = training.card.family
    for suffix in (".zip", ".json"):
        file = config.out / f"{family}{suffix}"
        if file.exists() and not config.overwrite:
            raise ValueError(f"{file} is there already; add --overwrite, or name another --out.")
    content = weights_alone(find(config.run))
    with tempfile.TemporaryDirectory() as folder:
        agent = Path(folder) / f"{family}.zip"
        agent.write_bytes(content)
        results = _measure(agent, training.card, names, config)
        check = Check(
            scenarios=CHECK_SCENARIOS, seed=config.seed, mean_delay_s=check_delay_s(agent, CHECK_SCENARIOS, config.seed)
        )
    card = _agent_card(training, results, check, hashlib.sha256(content).hexdigest())
    files: dict[str, str | bytes] = {f"{family}.zip": content, f"{family}.json": card.model_dump_json(indent=1) + "\n"}
    title = f"{family}: {config.scenarios} scenarios, seed {config.seed}"
    try:
        with locked(config.out):
            write_folder(config.out, files)
    finally:
        print_table(title, HEADINGS, summary_rows(results.figures()))
    print(f"written to {config.out}")
    return card


def weights_alone(model: Path) -> bytes:
    """Return a model file with its card and weights only, without what is needed to go on training."""
    content = io.BytesIO()
    with zipfile.ZipFile(model) as whole, zipfile.ZipFile(content, "w") as archive:
        for name in (CARD, _WEIGHTS):
            archive.writestr(zipfile.ZipInfo(name, _ANY_DAY), whole.read(name), zipfile.ZIP_DEFLATED)
    return content.getvalue()


def check_delay_s(model: Path, count: int, seed: int) -> float:
    """Return the mean query delay of a model, in one pass, in a few scenarios that its family draws by default."""
    card = read_card(model)
    arena = _arena(card, count, seed)
    return float(arena.roll_out(*arena.policy(str(model), seed)).mean_delay_s.mean())


def _measure(agent: Path, card: Card, names: tuple[str, ...], config: PublishConfig) -> Results:
    called = {PRETRAINED: str(agent)}
    if config.samples:
        called[f"{PRETRAINED}@{config.samples}"] = f"{agent}@{config.samples}"
    called |= {name: name for name in names}
    arena, workers = _arena(card, config.scenarios, config.seed), Workers(workers=config.workers)
    rollouts = roll_out_all(arena, tuple(called.values()), config.seed, workers=workers)
    return Results(card.family, config.seed, {name: rollouts[path] for name, path in called.items()})


def _arena(card: Card, count: int, seed: int) -> Arena:
    drawn = scenarios(card.family, count, seed)
    return Arena(make_generator(card.family).limits, drawn, card.family, cast(DecisionMode, card.decisions))


def _trained(run: Path) -> _Training:
    return _Training(read_config(run).seed, commands_of_run(run), _versions(run), read_card(run))


def _published(agent: Path) -> _Training:
    card = read_agent_card(agent.stem, agent.parent)
    return _Training(card.seed, card.commands, card.trained_with, read_card(agent))


def _agent_card(training: _Training, results: Results, check: Check, sha256: str) -> AgentCard:
    ratios = {PRETRAINED: (1.0, 1.0, 1.0), **delay_ratios(results.delays_s, results.seed).get(PRETRAINED, {})}
    policies = {
        name: Figures(
            mean_delay_s=figures.mean_delay_s,
            ci95=figures.ci95,
            planning_s=figures.planning_s,
            agent_ratio=ratios[name][0],
            agent_ratio_ci95=ratios[name][1:],
        )
        for name, figures in results.figures().items()
    }
    return AgentCard(
        family=training.card.family,
        algorithm=training.card.algorithm,
        decisions=training.card.decisions,
        seed=training.seed,
        steps=training.card.steps,
        commands=training.commands,
        trained_with=training.made_with,
        measured_with={**versions(), **machine()},
        published=datetime.now(UTC).date(),
        sha256=sha256,
        results=Measured(scenarios=len(results.device_only_s), seed=results.seed, policies=policies),
        check=check,
    )


def _versions(run: Path) -> dict[str, str | int]:
    file = run / VERSIONS
    try:
        found: dict[str, str | int] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} cannot be read ({type(error).__name__}); give the folder of a whole run.") from None
    return found
