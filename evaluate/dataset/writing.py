"""Writes episodes as a Minari dataset, as its `DataCollector` would, and puts whole datasets into their places."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.files.atomic_file import remedy
from evaluate.compare.plan_files import folder_names
from evaluate.dataset.episodes import Episode

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

NAMESPACE = "dnnmig"
"""The folder in which all datasets lie, and what their ids begin with."""

WRITING = ".writing"
"""The folder in which datasets lie until all of them are whole. Minari lists nothing that begins with a dot."""

VERSION = "v0"

_KEPT = r"\w-"  # the characters of a part of an id


def dataset_ids(family: str, policies: Iterable[str]) -> dict[str, str]:
    """Return the id of each policy's dataset, with _ for what Minari does not take in an id."""
    (about,) = folder_names([family], _KEPT).values()
    names = folder_names(policies, _KEPT)
    return {policy: f"{NAMESPACE}/{about}/{name}-{VERSION}" for policy, name in names.items()}


def write_dataset(
    folder: Path,
    dataset_id: str,
    env: MigrationEnv,
    spec: EnvSpec | None,
    about: Mapping[str, Any],
    episodes: Iterable[Episode],
) -> Floats:
    """Write a dataset; return the return of each episode, shape (N,).

    Args:
        folder: Folder below which it is written, at the path that is its id.
        dataset_id: Its id.
        env: The environment in which the episodes were played.
        spec: How Gymnasium makes that environment; None if it cannot.
        about: What else Minari is to note of the dataset.
        episodes: The episodes, which are written as they come.
    """
    import minari
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    data, notes, describe = folder / dataset_id / "data", list[dict[str, Any]](), minari.EpisodeMetadataCallback()

    def buffers() -> Iterator[EpisodeBuffer]:
        for number, episode in enumerate(episodes):
            notes.append({**describe({"rewards": episode.rewards}), "scenario": number})
            yield EpisodeBuffer(
                id=number,
                observations=dict(episode.observations),
                actions=episode.actions,
                rewards=episode.rewards,
                terminations=episode.ended,
                truncations=np.zeros_like(episode.ended),
                infos=dict(episode.infos),
            )

    data.mkdir(parents=True)
    storage = MinariStorage.new(data, env.observation_space, env.action_space, spec, "hdf5", jpeg_encoding=False)
    storage.update_episodes(buffers())
    storage.update_episode_metadata(notes)
    storage.update_metadata({"dataset_id": dataset_id, "minari_version": minari.__version__, **about})
    return np.array([note["rewards_sum"] for note in notes])


@contextmanager
def put_together(folder: Path) -> Iterator[Path]:
    """Yield an empty folder for datasets; they come into their places in `folder` when all of them are whole.

    One of the same name is replaced. Whatever happens, a dataset in its place is a whole one.

    Raises:
        ValueError: If something cannot be written.
    """
    folder = folder.resolve()  # HDF5's external links are wrong with relative paths
    writing = folder / WRITING
    try:
        shutil.rmtree(writing, ignore_errors=True)
        writing.mkdir()
        yield writing
        _move(writing, folder, sorted(path.parent.relative_to(writing) for path in writing.glob("*/*/*/data")))
    except OSError as error:  # HDF5's have no strerror
        reason = error.strerror or " ".join(str(error).split())[:200]
        raise ValueError(f"cannot write to {folder}: {reason}; {remedy(error)}, or name another --out.") from error
    finally:
        shutil.rmtree(writing, ignore_errors=True)


def _move(writing: Path, folder: Path, datasets: Sequence[Path]) -> None:
    for number, dataset in enumerate(datasets):
        place = folder / dataset
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            os.replace(place, writing / f"replaced-{number}")
        os.replace(writing / dataset, place)
