"""A plan's file says what happens, is read as the plan that was written, and fits no scenario but its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnnmig_env.scenarios.file import load_scenario, save_scenario
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.plan_file import load_plan, save_plan
from dnnmig_env.simulation.plan_file.identity import sha256_of
from dnnmig_env.simulation.simulator import simulate
from tests.agents.planners.hand_made import chain
from tests.hand_made import walk
from tests.strategies import random_case, random_moving_case

WALK = Plan(
    (
        Upload(1, 1, (0,), 3.5),
        Upload(0, 2, (0,)),
        Upload(0, 1, (1,)),
        Upload(2, 2, (0,)),
    )
)
"""Bob's layer is on its way when he leaves at 4 s. Ann's first goes by wire from server 1. Her second one waits for the
lane behind Bob's; then she has left the cell of its server. Cyd comes up at 4 s."""


def written(scenario: Scenario, plan: Plan, folder: Path, policy: str = "") -> tuple[Path, dict[str, Any]]:
    path = folder / "plan.json"
    save_plan(simulate(scenario, plan), path, policy)
    return path, json.loads(path.read_text())


def test_a_file_says_what_happens(tmp_path: Path) -> None:
    _, data = written(walk(), WALK, tmp_path, "somebody")
    assert (data["format"], data["version"], data["policy"]) == ("dnnmig-plan", 1, "somebody")
    assert data["scenario"]["users"] == {"ann": "ann", "bob": "bob", "cyd": "cyd"}
    assert data["scenario"]["servers"] == ["s1", "s2"]
    assert data["moves"] == [
        {
            "user": "bob",
            "server": "s1",
            "layers": [{"layer": "layer0", "source": "device", "start_s": 3.5, "stop_s": 4.0, "arrives": False}],
            "not_before_s": 3.5,
        },
        {
            "user": "ann",
            "server": "s2",
            "layers": [{"layer": "layer0", "source": "s1", "start_s": 0.0, "stop_s": 1.0}],  # 2 MB at 2 MB/s
            "usable_s": 1.0,
        },
        {"user": "ann", "server": "s1", "layers": [{"layer": "layer1"}]},
        {
            "user": "cyd",
            "server": "s2",
            "layers": [{"layer": "layer0", "source": "device", "start_s": 4.0, "stop_s": 5.0}],
            "usable_s": 5.0,
        },
    ]
    # Ann raises 10 queries of 1 s, as one of her layers is on a server from the start; Bob 4 of 1 s; Cyd 1 of 1 s, then
    # 5 that take no time.
    assert data["mean_delay_s"] == pytest.approx(15 / 20)
    assert data["placement"] == {"ann": {"s2": ["layer0"]}, "bob": {}, "cyd": {"s2": ["layer0"]}}


def test_layers_of_one_move_are_usable_together(tmp_path: Path) -> None:
    scenario = chain([1, 2, 1], [0, 0, 0])
    path, data = written(scenario, Plan((Upload(0, 1, (2, 1)),)), tmp_path)
    (move,) = data["moves"]
    assert [(each["layer"], each["start_s"], each["stop_s"]) for each in move["layers"]] == [
        ("l2", 0.0, 1.0),
        ("l1", 1.0, 3.0),
    ]
    assert move["usable_s"] == 3.0
    assert data["placement"] == {"user0": {"server0": ["l1", "l2"]}}
    assert load_plan(path, scenario).plan == Plan((Upload(0, 1, (2, 1)),))


def test_who_has_left_is_placed_as_in_its_last_queries(tmp_path: Path) -> None:
    # Bob's layer arrives at 1 s; after he has left at 4 s, queries of his would run on his device.
    _, data = written(walk(), Plan((Upload(1, 1, (0,)),)), tmp_path)
    assert data["placement"]["bob"] == {"s1": ["layer0"]}


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("case", [random_case, random_moving_case])
def test_what_is_read_is_what_was_written(case: Any, seed: int, tmp_path: Path) -> None:
    scenario, plan = case(seed)
    path, data = written(scenario, plan, tmp_path, "name")
    save_scenario(scenario, tmp_path / "scenario.yaml")
    again = load_scenario(tmp_path / "scenario.yaml")
    saved = load_plan(path, again)
    assert saved.plan == plan and saved.policy == "name"
    timeline = simulate(again, saved.plan)
    assert timeline.mean_delay_s == saved.mean_delay_s == simulate(scenario, plan).mean_delay_s
    ends = np.append(np.asarray(scenario.slot_starts_s)[1:], scenario.horizon_s)
    for index, user in enumerate(scenario.users):
        here = np.flatnonzero(np.asarray(user.query_rate_hz) > 0)
        nodes = np.zeros(len(user.graph))
        if len(here):
            last = np.flatnonzero(timeline.event_time_s < ends[here[-1]])[-1]
            nodes = timeline.event_assignment[last, index, : len(user.graph)]
        placed = {name: s.name for s in scenario.servers for name in data["placement"][user.name].get(s.name, [])}
        expected = [scenario.servers[node - 1].name if node else None for node in nodes.astype(int)]
        assert [placed.get(layer.name) for layer in user.graph.layers] == expected


def test_a_plan_may_be_written_by_hand(tmp_path: Path) -> None:
    scenario = chain([1, 2], [0, 0])
    form = {
        "format": "dnnmig-plan",
        "version": 1,
        "scenario": {"servers": ["server0"], "users": {"user0": "chain"}},
        "moves": [{"user": "user0", "server": "server0", "layers": ["l1", {"layer": "l0"}], "not_before_s": 2}],
    }
    (tmp_path / "plan.json").write_text(json.dumps(form))
    saved = load_plan(tmp_path / "plan.json", scenario)
    assert saved.plan == Plan((Upload(0, 1, (1, 0), 2.0),))
    assert saved.mean_delay_s is None


def test_how_a_network_came_about_changes_no_check_sum() -> None:
    scenario = walk()
    ann = replace(scenario.users[0], graph=replace(scenario.users[0].graph, origin="traced with another version"))
    assert sha256_of(replace(scenario, users=(ann, *scenario.users[1:]))) == sha256_of(scenario)
    faster = replace(scenario, links=replace(scenario.links, between_bytes_per_s=2e6 + 1))
    assert sha256_of(faster) != sha256_of(scenario)


def test_a_plan_of_another_scenario_is_refused(tmp_path: Path) -> None:
    path, _ = written(walk(), WALK, tmp_path)
    for changes, says in [
        ({"horizon_s": 11.0}, "scenario.sha256: it is the plan of another scenario"),
        ({"users": walk().users[::-1]}, "scenario.users: it is the plan of another scenario, whose users are ann, bob"),
        ({"servers": walk().servers[::-1]}, "whose servers are s1, s2, not s2, s1; name the scenario"),
    ]:
        other = replace(walk(), **changes)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=says) as error:
            load_plan(path, other)
        assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (["version"], 2, r"version: 2; this program reads version 1; give"),
        (["version"], True, r"version: True; this program reads"),
        (["format"], "plan", r"format: 'plan'; must be 'dnnmig-plan'"),
        (["moves", 0, "user"], "bo", r"moves\[0\].user: there is no user 'bo'; did you mean 'bob'\?"),
        (["moves", 0, "server"], "s9", r"moves\[0\].server: there is no server 's9'; known are 's1', 's2'"),
        (
            ["moves", 1, "layers"],
            ["layer9"],
            r"layers\[0\]: the network of 'ann' has no layer 'layer9'; did",
        ),
        (["moves", 1, "layers"], ["layer1", "layer1"], r"moves\[1\].layers\[1\]: 'layer1' is in this move twice"),
        (["moves", 1, "layers"], [], r"moves\[1\].layers: \[\]; must not be empty"),
        (["moves", 1, "layers", 0, "start_s"], -1, r"moves\[1\].layers\[0\].start_s: -1; must not be negative"),
        (["moves", 1, "when_s"], 1, r"moves\[1\]: unknown key 'when_s'"),
        (["moves", 1, "not_before_s"], "1", r"moves\[1\].not_before_s: '1'; must be a number"),
        (
            ["scenario", "users", "ann"],
            "alexnet",
            r"scenario.users.ann: .* this user has 'alexnet', not 'ann'",
        ),
        (["scenario", "users", "dan"], "alexnet", r"scenario.users: .* with a user 'dan'; did you mean 'ann'\?"),
    ],
)
def test_mistakes_in_a_file_are_one_line(place: list[Any], value: Any, says: str, tmp_path: Path) -> None:
    path, data = written(walk(), WALK, tmp_path)
    inner = data
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=says) as error:
        load_plan(path, walk())
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_what_is_no_plan_is_refused(tmp_path: Path) -> None:
    for text, says in (("[1", "line 1"), ("[]", "must be a mapping"), ("{}", "format: missing; add it")):
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises(ValueError, match=says):
            load_plan(tmp_path / "plan.json", walk())
    with pytest.raises(ValueError, match=r"absent.json: No such file or directory; give an existing .json file"):
        load_plan(tmp_path / "absent.json", walk())
    path, data = written(chain([1, 2], [0, 0]), Plan((Upload(0, 1, (0, 1)),)), tmp_path)
    data["moves"] *= 2
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"layer 0 was uploaded before; upload every layer at most once"):
        load_plan(path, chain([1, 2], [0, 0]))
