"""Scenario files that say in whose cell users are, and that weights move."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnnmig_env.scenarios.file import load_scenario, save_scenario
from dnnmig_env.scenarios.file.write import description_of
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import plan_of
from dnnmig_env.simulation.simulator import simulate
from tests.hand_made import two_servers, user
from tests.strategies import random_moving_case

EXAMPLES = Path(__file__).parents[3] / "examples"

MACHINE = {"flops_per_s": 1e11, "memory_bytes_per_s": 1e11}
LAYERS = [{"name": name, "flops": 1e9, "weight_bytes": 1_000_000, "output_bytes": 500} for name in "ab"]


def given(**changes: Any) -> dict[str, Any]:
    """Return a file of two slots, two servers and two users; `users__0__home=...` changes a value, None removes it."""
    network = {"name": "tiny", "input_bytes": 1000, "layers": LAYERS}
    users = [{"name": name, "network": network, "device": MACHINE} for name in ("ann", "bob")]
    data: Any = {
        "horizon_s": 10,
        "slot_s": 5,
        "moves": True,
        "servers": [{"name": name, **MACHINE} for name in ("west", "east")],
        "default_link": {"up_mbps": 8},
        "users": [
            {**users[0], "home": ["west", "east"], "uploaded": {"a": "west"}, "copies": {"a": ["east"]}},
            {**users[1], "home": "east"},
        ],
    }
    data = json.loads(json.dumps(data))
    for path, value in changes.items():
        *steps, last = [int(step) if step.isdigit() else step for step in path.split("__")]
        place = data
        for step in steps:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return data  # type: ignore[no-any-return]


def loaded(folder: Path, data: object) -> Scenario:
    (folder / "scenario.json").write_text(json.dumps(data), encoding="utf-8")
    return load_scenario(folder / "scenario.json")


def test_what_is_written_is_what_it_says(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, given())
    assert scenario.moves is True
    assert np.asarray(scenario.links.home).tolist() == [[1, 2], [2, 2]]
    ann, bob = scenario.users
    assert np.asarray(ann.uploaded).tolist() == [1, 0]
    assert np.asarray(ann.copies).tolist() == [[False, True], [False, False]]
    assert bob.copies is None


def test_without_all_this_everybody_shares_one_channel(tmp_path: Path) -> None:
    plain = given(moves=None, users__0__home=None, users__1__home=None, users__0__copies=None)
    scenario = loaded(tmp_path, plain)
    assert scenario.moves is False
    assert not np.asarray(scenario.links.home).any()
    assert all(user.copies is None for user in scenario.users)
    assert not {"moves", "home", "copies"} & {*description_of(scenario), *description_of(scenario)["users"][0]}


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_what_is_saved_comes_back(tmp_path: Path, suffix: str) -> None:
    for seed in range(25):
        scenario, plan = random_moving_case(seed)
        path = tmp_path / f"scenario.{suffix}"
        save_scenario(scenario, path)
        found = load_scenario(path)
        assert found.moves is scenario.moves
        np.testing.assert_array_equal(np.asarray(found.links.home), np.asarray(scenario.links.home))
        for mine, yours in zip(found.users, scenario.users, strict=True):
            none = np.zeros((len(yours.graph), len(scenario.servers)), bool)
            copies = [none if user.copies is None else np.asarray(user.copies) for user in (mine, yours)]
            np.testing.assert_array_equal(*copies)
        assert simulate(found, plan).mean_delay_s == simulate(scenario, plan).mean_delay_s
        before = path.read_bytes()
        save_scenario(found, path)
        assert path.read_bytes() == before


def test_a_home_that_never_changes_is_written_once() -> None:
    scenario = two_servers(
        [user("ann", [1]), user("bob", [1])], home=[[1, 2], [1, 1]], slot_starts_s=(0.0, 1.0), horizon_s=2.0
    )
    assert [each["home"] for each in description_of(scenario)["users"]] == ["s1", ["s2", "s1"]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"users__1__home": None}, "users[1].home: missing; other users have one, so say in which server's cell each"),
        ({"users__0__home": "wets"}, "users[0].home: there is no server 'wets'; did you mean 'west'?"),
        ({"users__0__home": ["west", "eats"]}, "users[0].home: there is no server 'eats'; did you mean 'east'?"),
        ({"users__0__home": ["west"]}, "users[0].home: 1 names for 2 time slots; give one name or one per slot"),
        ({"users__0__home": []}, "users[0].home: 0 names for 2 time slots; give one name or one per slot"),
        ({"users__0__home": 1}, "users[0].home: 1; must be text"),
        ({"users__0__home": ["west", 2]}, "users[0].home[1]: 2; must be text"),
        ({"users__0__hone": "west"}, "users[0]: unknown key 'hone'; did you mean 'home'?"),
        ({"moves": "yes"}, "moves: 'yes'; must be true or false"),
        ({"moves": 1}, "moves: 1; must be true or false"),
        ({"moves": False}, "users[0]: user 'ann': copies puts a layer on several servers, which only a scenario with"),
        ({"users__0__copies": {"b": ["east"]}}, "users[0]: user 'ann': copies puts layer 1 on a server, but uploaded"),
        ({"users__0__copies": {"c": ["east"]}}, "users[0].copies: there is no layer 'c'; known are 'a', 'b'"),
        ({"users__0__copies": {"a": ["ea"]}}, "users[0].copies.a: there is no server 'ea'; did you mean 'east'?"),
        ({"users__0__copies": {"a": "east"}}, "users[0].copies.a: 'east'; must be a list"),
        (
            {"servers__1__memory_bytes": 1_500_000, "users__1__uploaded": {"a": "east"}},
            "servers[1]: server 'east': uploaded puts 2000000 bytes on it, more than its memory_bytes 1500000.0",
        ),
    ],
)
def test_errors_name_place_value_and_remedy(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        loaded(tmp_path, given(**changes))
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'scenario.json'}: ") and message in text and "\n" not in text


@pytest.mark.parametrize(
    ("home", "message"),
    [
        ([[0, 1]], "home is [[0.0, 1.0]]; give the server 1 to 2 in whose cell each user is, in each slot."),
        ([[1, 3]], "home is [[1.0, 3.0]]; give the server 1 to 2"),
        ([[1, 1.5]], "home is [[1.0, 1.5]]; give the server 1 to 2"),
        ([[1, 257]], "home is [[1.0, 257.0]]; give the server 1 to 2"),
        ([[1, -1]], "home contains -1.0; every value must be finite and not negative"),
        ([[1, np.nan]], "home contains nan"),
        ([[1, 1, 1]], "home has shape (1, 3); it must fit (1, 2)"),
        ([["s1", "s2"]], "home is [['s1', 's2']]; give numbers"),
    ],
)
def test_homes_are_checked(home: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        two_servers([user("ann", [1]), user("bob", [1])], home=home, horizon_s=1.0)


def test_one_home_for_all_and_none_at_all() -> None:
    users = [user("ann", [1]), user("bob", [1])]
    assert np.asarray(two_servers(users, home=2, horizon_s=1.0).links.home).tolist() == [[2, 2]]
    for nowhere in (None, 0, [[0, 0]]):
        assert np.asarray(two_servers(users, home=nowhere, horizon_s=1.0).links.home).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"copies": [[True, True, True]]}, "user 'ann': copies has shape (1, 3); it must fit (1, 2)"),
        ({"copies": [[2, 0]]}, "user 'ann': copies is [[2.0, 0.0]]; give True or False per layer and server"),
        ({"copies": [[True, True]], "uploaded": [0]}, "user 'ann': copies puts layer 0 on a server, but uploaded"),
    ],
)
def test_copies_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        two_servers([user("ann", [1], **{"uploaded": [1], **changes})], moves=True, horizon_s=1.0)


def test_moves_is_true_or_false() -> None:
    with pytest.raises(ValueError, match=re.escape("moves is 'yes'; give True or False.")):
        two_servers([user("ann", [1])], moves="yes", horizon_s=1.0)


def test_the_example_moves_weights_over_its_wire() -> None:
    scenario = load_scenario(EXAMPLES / "two_cells.yaml")
    first = int(np.flatnonzero(scenario.users[0].graph.movable)[0])
    timeline = simulate(scenario, plan_of([(0, first, 1), (0, first, 2)]))
    assert [each.transfers[0].source for each in timeline.uploads] == [0, 1]
    assert timeline.moves.handovers == 1
