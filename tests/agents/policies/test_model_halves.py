"""Half a two-phase model beside half a planner: each half is kept as it was decided."""

from __future__ import annotations

import numpy as np
import pytest

from agents.learning.algorithms import make_model
from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.planners import placement_planner
from agents.policies.name import parse_half_name, parse_model_name
from agents.policies.policy import check_policy_name, resolve_policy
from agents.policies.trained import MODEL, load, save
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.simulation.plan import check_plan

SMALL = {"num_users": (2, 3), "max_layers": 8}


def saved_model(folder, decisions, family="multi-user", options=SMALL):
    env = MigrationVectorEnv(2, make_generator(family, **options), decisions, autoreset_mode="SameStep")
    save(
        make_model("ppo", Sb3VecEnv(env), seed=1, device="cpu", network={"width": 8}),
        folder / MODEL,
        family,
        decisions,
        "ppo",
    )
    return folder / MODEL


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("two-phase"), "two-phase")


@pytest.fixture(scope="module")
def given():
    return scenarios("multi-user", 5, seed=3, **SMALL)


def planned(name, given, family="multi-user", options=SMALL):
    """Return the plans of a name, made of each scenario from the same random stream."""
    env = MigrationVectorEnv(1, make_generator(family, **options))
    planner = resolve_policy(name, env, 0)._planner
    plans = [planner(scenario, np.random.default_rng(4)) for scenario in given]
    for scenario, plan in zip(given, plans, strict=True):
        check_plan(scenario, plan)
    return plans


def played(file, given):
    """Return the placements and plans of the model on its own, played in a batch."""
    env = MigrationVectorEnv(len(given), make_generator("multi-user", **SMALL), "two-phase", autoreset_mode="Disabled")
    model = load(file, env)
    observation, _ = env.reset(options={"scenarios": given})
    placements, ended = {}, np.zeros(len(given), np.bool_)
    while not ended.all():
        for row, scenario in enumerate(given):
            if env.pending_layer(row) is None and row not in placements:
                node = env.episodes.state.node[row]
                placements[row] = [node[u, : len(user.graph)].tolist() for u, user in enumerate(scenario.users)]
        observation, _, ended, _, _ = env.step(model.predict(observation)[0])
    return [placements[row] for row in range(len(given))], [env.plan(row) for row in range(len(given))]


def as_lists(placement):
    return [servers.tolist() for servers in placement]


def test_the_models_placement_is_ordered_by_the_planner(file, given):
    placements, own_plans = played(file, given)
    plans = planned(f"{file}+lmu", given)
    weights = [[user.graph.weight_bytes > 0 for user in scenario.users] for scenario in given]
    for scenario, placement, plan, weighty in zip(given, placements, plans, weights, strict=True):
        kept = [np.where(where, servers, 0).tolist() for servers, where in zip(placement, weighty, strict=True)]
        assert as_lists(plan.placement(scenario)) == kept
    assert any(plan.uploads for plan in plans)
    assert [plan.singletons() for plan in plans] != own_plans  # and the order is another one


def test_the_planners_placement_is_ordered_by_the_model(file, given):
    plans, theirs = planned(f"pso-ga+{file}", given), planned("pso-ga+lmu", given)
    for scenario, plan in zip(given, plans, strict=True):
        placement = as_lists(placement_planner("pso-ga")(scenario, np.random.default_rng(4)))
        found = as_lists(plan.placement(scenario))
        uploaded = [
            [server if server else wanted for server, wanted in zip(*pair, strict=True)]
            for pair in zip(found, placement, strict=True)
        ]
        assert uploaded == placement  # whatever is uploaded goes where PSO-GA has placed it
    sent = sum(plan.num_layers for plan in plans)
    assert sent > 0.5 * sum(plan.num_layers for plan in theirs)  # nearly all that begins before the horizon
    assert [plan.uploads for plan in plans] != [plan.singletons().uploads for plan in theirs]


def test_both_halves_of_one_model_are_the_model(file, given):
    from agents.policies.model_halves import ModelOrder, ModelPlacement

    _, own_plans = played(file, given)
    env = MigrationVectorEnv(1, make_generator("multi-user", **SMALL), "two-phase", autoreset_mode="Disabled")
    model, rng = load(file, env), np.random.default_rng(0)
    place, order = ModelPlacement(model, env), ModelOrder(model, env)
    for scenario, own in zip(given, own_plans, strict=True):
        plan = order(scenario, place(scenario, rng), rng)
        assert [upload.layers for upload in plan.uploads] == [upload.layers for upload in own.uploads]
        assert [upload.server for upload in plan.uploads] == [upload.server for upload in own.uploads]


def test_what_is_uploaded_stays_and_slots_to_come_are_not_looked_at(tmp_path):
    file = saved_model(tmp_path, "two-phase", family="mobile", options={})
    scenario = scenarios("mobile", 1, seed=2)[0]
    env = MigrationVectorEnv(1, make_generator("mobile"))
    env.reset(options={"scenarios": [scenario]})
    known = env.known_scenario(0)
    for name in (f"{file}+lmu", f"best-server+{file}"):
        assert planned(name, [scenario], "mobile", {}) == planned(name, [known], "mobile", {})
        policy = resolve_policy(f"{name}@replan", env, 0)
        observation, _ = env.reset(options={"scenarios": [scenario]})
        for _ in range(8):  # after some uploads it plans for what is left
            actions, _ = policy.predict(observation)
            assert observation["action_mask"][0, actions[0]]
            observation, *_ = env.step(actions)
        assert env.plan().uploads


def test_names_are_told_apart(tmp_path, monkeypatch):
    for name, model, planner, places in (
        ("runs/a+lmu", "runs/a", "lmu", True),
        ("pretrained+multi-user-lmu", "pretrained", "multi-user-lmu", True),
        ("a.zip+lmu", "a.zip", "lmu", True),
        ("pso-ga:swarm=50+runs/a", "runs/a", "pso-ga:swarm=50", False),
    ):
        half = parse_half_name(name)
        assert (half.model.model, half.planner, half.places) == (model, planner, places)
        assert parse_model_name(name) is None
        assert parse_model_name(f"{name}@replan") is None
    for name in ("pso-ga+lmu", "runs/a", "runs/a@4", "device-only"):
        assert parse_half_name(name) is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a+lmu").touch()  # a path that is there is a model, whatever its name
    assert parse_half_name("runs/a+lmu") is None
    assert parse_model_name("runs/a+lmu@4").samples == 4


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("{joint}+lmu", "was trained with joint decisions, which have no halves to put beside 'lmu'"),
        ("pso-ga+{joint}", "was trained with joint decisions, which have no halves to put beside 'pso-ga'"),
        ("{two}+lmuu", "unknown order planner 'lmuu'; did you mean 'lmu'"),
        ("pso-gaa+{two}", "unknown placement planner 'pso-gaa'; did you mean 'pso-ga'"),
        ("{two}+{two}", "names a model for both halves"),
        ("{two}@4+lmu", "asks for samples of half a model"),
        ("runs/absent+lmu", "no model at runs/absent"),
        ("pretrained+lmu", "no pretrained agent for family 'multi-user'"),
    ],
)
def test_what_cannot_be_halved_is_named(file, tmp_path, monkeypatch, name, says):
    monkeypatch.setattr("agents.pretrained.FOLDER", tmp_path)
    name = name.format(two=file, joint=saved_model(tmp_path, "joint"))
    with pytest.raises(ValueError, match=says):
        resolve_policy(name, MigrationVectorEnv(1, make_generator("multi-user", **SMALL)), 0)


def test_names_are_checked_without_making_a_policy(file):
    check_policy_name(f"{file}+lmu@replan", "multi-user")
    check_policy_name(f"pso-ga+{file}", "multi-user")
    for name, says in ((f"{file}+lmuu", "unknown order planner"), ("pso-ga+runs/absent", "no model at")):
        with pytest.raises(ValueError, match=says):
            check_policy_name(name, "multi-user")
