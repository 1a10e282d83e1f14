"""Labels are what came later, examples are what observations show, and a network learns from them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from agents.learning import next_cells
from agents.learning.algorithms import make_model
from agents.learning.next_cells import UNKNOWN, drawn_moments, later_cells, learn_next_cells
from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.planners.foresight.next_cell import FARTHEST_S, as_it_will_be
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios

SMALL = {"horizon_s": 200.0, "num_users": 6, "num_present": 4}


def model_of(family, algorithm="grpo", **options):
    env = Sb3VecEnv(MigrationVectorEnv(16, make_generator(family, **options), autoreset_mode="SameStep"))
    return make_model(algorithm, env, 0, "cpu", {"buffer_size": 100} if algorithm == "dqn" else {})


def weights(model):
    named = model.policy.named_parameters()
    return {name: weight.detach().clone() for name, weight in named}


def test_labels_by_hand():
    # Rows are slots, columns users: one that walks 1, 1, 2, 3; one that leaves after two slots; one that comes late;
    # one that leaves cell 1 and comes back in cell 2.
    home = np.array([[1, 2, 3, 1], [1, 2, 3, 1], [2, 3, 3, 2], [3, 3, 1, 2]])
    present = np.array([[1, 1, 0, 1], [1, 1, 1, 0], [1, 0, 1, 1], [1, 0, 1, 1]]) > 0
    found = next_cells.next_cells(home, present)
    assert found[:, 0].tolist() == [2, 2, 3, -1]
    assert found[:2, 1].tolist() == [0, 0]
    assert found[1:, 2].tolist() == [1, 1, -1]
    assert found[0, 3] == 0
    edges_s = np.array([0.0, 10.0, 20.0, 30.0, 40.0])
    later = later_cells(home, present, edges_s)
    assert later[:, 0].tolist() == [2, 3, -1, -1]
    assert later[0, 1] == 0
    assert later[1, 2] == 1
    assert later_cells(home, present, 10.0 * edges_s)[:, 0].tolist() == [1, 2, 3, -1]  # slots of 100 s


def test_next_cells_are_those_that_the_bound_knows():
    checked = 0
    for scenario in scenarios("city", 3, seed=5, **SMALL):
        home, starts_s = np.asarray(scenario.links.home), np.asarray(scenario.slot_starts_s)
        present = np.stack([np.asarray(user.query_rate_hz) > 0 for user in scenario.users], axis=1)
        found = next_cells.next_cells(home, present)
        for slot, user in np.argwhere(present & (found > 0)):
            after = home[slot:, user]
            if starts_s[slot + np.argmax(after == found[slot, user])] < starts_s[slot] + FARTHEST_S:
                assert as_it_will_be(scenario, int(slot), int(user)) == found[slot, user]
                checked += 1
    assert checked > 50


def test_examples_are_what_observations_show():
    generator = make_generator("city", **SMALL)
    moments = drawn_moments(generator, np.random.default_rng(3), 1)
    batch = make_generator("city", **SMALL).draw(np.random.default_rng(3), generator.chunk)
    env = MigrationVectorEnv(1, generator)
    observation, _ = env.reset(seed=0, options={"scenarios": [batch.scenario(0)]})
    layout, seen = env.episodes.layout, observation["observation"][0]

    def part(name):
        return seen[layout.slices[name]].reshape(layout.shapes[name])

    present = part("users")[:, 0] > 0
    count = int(present.sum())
    assert count > 0
    np.testing.assert_allclose(moments.courses[:count], part("users")[present, 5:9], atol=1e-6)
    np.testing.assert_allclose(moments.places[0], part("servers")[:, 4:6], atol=1e-6)
    np.testing.assert_array_equal(moments.exists[0], part("servers")[:, 0] > 0)
    homes = np.eye(layout.servers)[moments.home[:count] - 1]
    np.testing.assert_array_equal(homes, part("cells")[present, :, 0])
    assert len(moments.home) == len(moments.labels) > 100
    inside = (moments.labels >= 0) | (moments.labels == UNKNOWN)
    assert inside.all()
    assert (moments.labels <= layout.servers).all()
    moving = (moments.labels[:, 0] >= 0) & (moments.labels[:, 0] < layout.servers)
    assert (moments.labels[moving, 0] != moments.home[moving] - 1).all()


def test_a_town_is_learned_and_the_rest_of_the_policy_left_as_it_is(monkeypatch):
    monkeypatch.setattr(next_cells, "SCENARIOS", 80)
    monkeypatch.setattr(next_cells, "TESTED", 16)
    model, generator, steps = model_of("city"), make_generator("city"), []
    before = weights(model)
    known = learn_next_cells(model, generator, 1, 250, lambda: steps.append(1))
    assert known > 0.6  # velocity alone: 0.21
    assert len(steps) == 250
    after = weights(model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if ".next_cells." in name}


def test_the_same_seed_learns_the_same(monkeypatch):
    monkeypatch.setattr(next_cells, "SCENARIOS", 16)
    monkeypatch.setattr(next_cells, "TESTED", 8)
    found = []
    for seed in (1, 1, 2):
        model = model_of("mobile")
        found.append((learn_next_cells(model, make_generator("mobile"), seed, 20), weights(model)))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(found[0][1][name], found[1][1][name]) for name in found[0][1])
    assert not all(torch.equal(found[0][1][name], found[2][1][name]) for name in found[0][1])


def test_both_networks_of_dqn_learn_it(monkeypatch):
    monkeypatch.setattr(next_cells, "SCENARIOS", 16)
    monkeypatch.setattr(next_cells, "TESTED", 8)
    model = model_of("mobile", "dqn")
    learn_next_cells(model, make_generator("mobile"), 1, 5)
    one, target = model.policy.q_net.network.next_cells, model.policy.q_net_target.network.next_cells
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, target.state_dict()[name])


@pytest.mark.parametrize(("family", "steps"), [("multi-user", 10), ("mobile", 0)])
def test_nothing_is_learned_where_nobody_moves_or_no_step_is_taken(family, steps):
    model = model_of(family)
    before = weights(model)
    assert learn_next_cells(model, make_generator(family), 1, steps) is None
    assert all(torch.equal(weight, weights(model)[name]) for name, weight in before.items())


def test_the_network_is_shown_the_cell_in_which_users_are(monkeypatch):
    moments, seen = drawn_moments(make_generator("city", **SMALL), np.random.default_rng(3), 1), []

    def noted(courses, places, home, going, exists):
        seen.append((courses, places, home, exists))
        return torch.zeros(len(home), 2, home.shape[1] + 1)

    at = np.arange(0, len(moments.home), 7)
    _, labels = next_cells._predicted(noted, moments, at, torch.device("cpu"))
    ((courses, places, home, exists),) = seen
    np.testing.assert_array_equal(home.argmax(1) + 1, moments.home[at])
    assert (home.sum(1) == 1).all()
    for shown, known in ((courses, moments.courses), (places, moments.places), (exists, moments.exists)):
        np.testing.assert_array_equal(shown, known[at])
    np.testing.assert_array_equal(labels, moments.labels[at])


@pytest.mark.parametrize("name", ["two_cells", "one_phone"])
def test_where_nobody_goes_to_another_cell_nothing_is_broken(name, tmp_path, monkeypatch):
    monkeypatch.setattr(next_cells, "SCENARIOS", 16)
    monkeypatch.setattr(next_cells, "TESTED", 16)
    examples = Path(__file__).resolve().parents[3] / "examples"
    cells = "" if name == "two_cells" else "moves: true\n"  # weights move, though all users share one cell
    (tmp_path / "mine.yaml").write_text(cells + (examples / f"{name}.yaml").read_text())
    generator = make_generator(str(tmp_path / "mine.yaml"))
    assert generator.limits.lanes
    batch = MigrationVectorEnv(16, generator, autoreset_mode="SameStep")
    model = make_model("grpo", Sb3VecEnv(batch), 0, "cpu", {})
    learn_next_cells(model, generator, 1, 5)
    assert all(torch.isfinite(weight).all() for weight in weights(model).values())
    assert name == "two_cells" or learn_next_cells(model, generator, 1, 5) is None
