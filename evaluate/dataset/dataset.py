"""The command `dataset`: policies play scenarios, and what they see, do and are paid becomes Minari datasets."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dnnmig_env.arrays import Floats
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.registration import ANY_FAMILY_ID, ENVIRONMENT_IDS
from dnnmig_env.files.atomic_file import replace_text
from dnnmig_env.files.provenance import machine, versions
from evaluate.compare.compare import played_settings, roll_out_all
from evaluate.compare.config import Config
from evaluate.compare.given import Given, given_scenarios
from evaluate.compare.progress import showing
from evaluate.compare.record import Record, Rollout
from evaluate.compare.rollout import Arena
from evaluate.dataset.config import DatasetConfig
from evaluate.dataset.episodes import Episode, replayed
from evaluate.dataset.writing import NAMESPACE, WRITING, dataset_ids, put_together, write_dataset
from evaluate.output.folder import as_json
from evaluate.output.journal import JOURNAL
from evaluate.output.tables import print_table
from evaluate.output.unfinished import as_data, journal_in

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

HEADINGS = ("dataset", "episodes", "steps", "mean return")


def record(config: DatasetConfig) -> dict[str, str]:
    """Play every scenario with every policy, write a dataset for each policy, and print a table.

    What the policies did is kept in a journal as it comes. If there is one already, the command goes on where it was
    stopped. A dataset is in its place only when it is whole.

    Returns:
        The id of each policy's dataset.

    Raises:
        ValueError: If anything in the config is not valid, or Minari is not installed; nothing has been written then.
        KeyboardInterrupt: If the command is stopped; a note says what is kept.
    """
    check_installed()
    config.check_workers()
    comparison = config.comparison()
    names, seed = comparison.policy_names, comparison.chosen_policy_seed
    given = given_scenarios(comparison, "--episodes")
    arena = Arena(given.limits, given.scenarios, given.family, config.decisions, given.generator)
    # Of rewards no record depends: a stopped command may go on with others.
    settings = {"command": "dataset", **played_settings(comparison, names, given)}
    total, beside = len(names) * len(given.scenarios), (NAMESPACE, WRITING)
    is_begun = (config.out / JOURNAL).is_file()
    with journal_in(
        config.out, settings, Record, overwrite=config.overwrite, beside=beside if is_begun else (), total=total
    ) as journal:
        rollouts = roll_out_all(arena, names, seed, journal, config)
        ids, rows = _written(config, comparison, given, rollouts)
    print_table(f"Minari datasets in {config.out}", HEADINGS, rows)
    for line in (
        f"written to {config.out}; to read one, run with MINARI_DATASETS_PATH={shlex.quote(str(config.out))}:",
        f'minari.load_dataset("{next(iter(ids.values()))}")',
    ):
        print(line)
    return ids


def check_installed() -> None:
    """Check before anything is played that datasets can be written.

    Raises:
        ValueError: If Minari or its storage is not installed.
    """
    for module in ("minari", "h5py"):
        if find_spec(module) is None:
            raise ValueError(f"a dataset needs {module}, which is not installed; run: pip install -e '.[minari]'")


def _written(
    config: DatasetConfig, comparison: Config, given: Given, rollouts: dict[str, Rollout]
) -> tuple[dict[str, str], list[tuple[str, ...]]]:
    """Write the datasets; return their ids by policy, and the rows of the table."""
    made_with = {"config": as_data(asdict(config)), "versions": versions(), "machine": machine()}
    env = MigrationEnv(
        given.generator, limits=given.limits, decisions=config.decisions, reward=config.reward, scale=config.scale
    )
    spec, family = _spec(config, comparison, given), _family(given)
    ids, rows = dataset_ids(family, rollouts), list[tuple[str, ...]]()
    count = len(given.scenarios)
    with put_together(config.out) as folder, showing(len(rollouts), count) as show:
        for name, rollout in rollouts.items():
            about = {
                "algorithm_name": name,
                "description": f"Episodes of the policy {name} in {count} scenarios of {family}: "
                f"reward {config.reward}, scale {config.scale}, {config.decisions} decisions.",
                "made_with": made_with,
            }
            episodes = _episodes(env, given, rollout, partial(show, f"writing {name}"))
            returns = write_dataset(folder, ids[name], env, spec, about, episodes)
            rows.append(_row(ids[name], returns, rollout))
    replace_text(config.out / "config.json", as_json(made_with))
    return ids, rows


def _episodes(env: MigrationEnv, given: Given, rollout: Rollout, show: Callable[[int], None]) -> Iterator[Episode]:
    for number, (scenario, actions) in enumerate(zip(given.scenarios, rollout.actions, strict=True)):
        yield replayed(env, scenario, actions)
        show(number + 1)


def _row(dataset_id: str, returns: Floats, rollout: Rollout) -> tuple[str, ...]:
    return dataset_id, str(len(returns)), str(int(rollout.decisions.sum())), f"{returns.mean():.3f}"


def _family(given: Given) -> str:
    """Return how the scenarios are called in ids and descriptions."""
    if given.frozen is not None:
        return given.frozen.name
    return given.family or "custom"


def _spec(config: DatasetConfig, comparison: Config, given: Given) -> EnvSpec | None:
    """Return how Gymnasium makes the environment that draws such scenarios; None if they were not drawn."""
    if given.generator is None:
        return None
    import gymnasium

    import dnnmig_env  # noqa: F401  registers the environments

    family = comparison.drawn_family
    spec = copy.deepcopy(gymnasium.spec(ENVIRONMENT_IDS.get(family, ANY_FAMILY_ID)))
    paid = {"decisions": config.decisions, "reward": config.reward, "scale": config.scale}
    spec.kwargs.update({"family": family, **comparison.generator_options, **paid})
    return spec
