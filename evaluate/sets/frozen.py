"""A frozen set of scenarios, read from its archive in the folder benchmarks/."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dnnmig_env.files.strict_model import checked
from dnnmig_env.files.suggestion import suggestion
from dnnmig_env.files.text_file import read_text
from dnnmig_env.files.yaml_json import parse_json
from dnnmig_env.scenarios.file.read import scenario_of
from dnnmig_env.scenarios.file.schema import ScenarioForm
from dnnmig_env.scenarios.scenario import Scenario
from evaluate.sets.archive import texts_in

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
"""Where the sets lie."""

SUFFIX, SUMS = ".tar.xz", "SHA256SUMS"


@dataclass(frozen=True, eq=False)
class FrozenSet:
    """Scenarios that stay as they are.

    Attributes:
        name: Name of the set, such as "multi-user-v1".
        sha256: Check sum of its archive, in hexadecimal digits.
        files: Name of each scenario's file in the archive, N of them.
        scenarios: The scenarios, in the same order.
        is_whole: Whether these are all scenarios of the set.
    """

    name: str
    sha256: str
    files: tuple[str, ...]
    scenarios: tuple[Scenario, ...]
    is_whole: bool


def set_names(folder: Path = FOLDER) -> list[str]:
    """Return the names of all sets, in alphabetical order."""
    return sorted(check_sums(folder))


def check_sums(folder: Path = FOLDER) -> dict[str, str]:
    """Return the check sum of each set's archive, as `SHA256SUMS` has it, by the name of the set.

    Raises:
        ValueError: If the file cannot be read.
    """
    path = folder / SUMS
    try:
        lines = [line.split() for line in read_text(path, "take it from the repository again").splitlines()]
        return {name.removesuffix(SUFFIX): sha256 for sha256, name in lines}
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def load_set(name: str, first: int | None = None, folder: Path = FOLDER, *, called: str = "--scenarios") -> FrozenSet:
    """Read a set.

    Args:
        name: Its name.
        first: How many scenarios to read, from the beginning on; by default all.
        folder: Where the sets lie.
        called: The option that says how many, for errors.

    Raises:
        ValueError: If there is no such set, its archive is not the one that was frozen, or it has not so many
            scenarios.
    """
    sums = check_sums(folder)
    if name not in sums:
        raise ValueError(f"there is no set {name!r}; {suggestion(name, sums)}")
    path = folder / f"{name}{SUFFIX}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; take it from the repository again.") from None
    if hashlib.sha256(content).hexdigest() != sums[name]:
        raise ValueError(f"{path}: it is not the archive that was frozen; take it from the repository again.")
    texts = texts_in(content)
    if first is not None and not 1 <= first <= len(texts):
        raise ValueError(f"{called} is {first}, but the set {name} has {len(texts)}; give 1 to {len(texts)}.")
    files = tuple(sorted(texts))[:first]
    scenarios = tuple(scenario_in(texts[file]) for file in files)
    return FrozenSet(name, sums[name], files, scenarios, len(files) == len(texts))


def scenario_in(text: str) -> Scenario:
    """Return the scenario that a JSON text holds.

    Raises:
        ValueError: If it holds none.
    """
    return scenario_of(checked(ScenarioForm, parse_json(text)), FOLDER)
