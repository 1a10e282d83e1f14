"""Trained models come back as they were, fit other sizes, and say what is wrong with them in one line."""

import io
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from agents.learning.algorithms import ALGORITHMS, TRAINING_REWARD, make_model
from agents.learning.checkpoint import save
from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.policies.card import CARD, FORMAT, Card
from agents.policies.policy import resolve_policy
from agents.policies.trained import BEST_MODEL, MODEL, NETWORK_PREFIXES, TrainedPolicy, load, read_card
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from tests.damaged_model import damaged


def model_of(algorithm="a2c", decisions="joint", family="edge-cloud"):
    options = {"autoreset_mode": "SameStep", **TRAINING_REWARD}
    env = MigrationVectorEnv(16, make_generator(family), decisions, **options)
    settings = {"buffer_size": 100} if algorithm == "dqn" else {}
    return make_model(algorithm, Sb3VecEnv(env), seed=1, device="cpu", settings=settings, network={"width": 8})


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / MODEL
    save(model_of(), path, "edge-cloud", "joint", "a2c")
    return path


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_model_read_back_acts_as_the_one_written(algorithm, tmp_path):
    model = model_of(algorithm)
    with torch.no_grad():
        for name, weight in model.policy.named_parameters():
            if name.endswith("query.bias"):
                weight[8] = 4.0  # the order of efficiency, so that rounding seldom decides
    save(model, tmp_path / MODEL, "edge-cloud", "joint", algorithm)
    policy = load(tmp_path / MODEL)
    observations, differing, equal = model.env.reset(), 0, 0
    for _ in range(30):
        expected, _ = model.predict(observations, deterministic=True)
        found, _ = policy.predict(observations)
        scores = policy.scores(observations)
        for row in np.flatnonzero(found != expected):  # equal but for rounding, which differs between processors
            assert scores[row, found[row]] == pytest.approx(float(scores[row, expected[row]]), abs=1e-6)
        single = {name: array[2] for name, array in observations.items()}
        assert policy.predict(single)[0] in (found[2], expected[2])
        differing, equal = differing + (len(set(expected)) > 1), equal + int((found == expected).sum())
        observations, _, _, _ = model.env.step(found)
    assert differing > 20 and equal > 0.98 * 30 * len(found)
    assert read_card(tmp_path / MODEL).algorithm == algorithm


def test_drawn_actions_vary_and_are_legal(file):
    env = MigrationVectorEnv(64, make_generator("edge-cloud"))
    observations, _ = env.reset(seed=0)
    policy = load(file, env)
    draws = [policy.predict(observations, deterministic=False)[0] for _ in range(5)]
    assert len({tuple(draw) for draw in draws}) == 5
    assert all(observations["action_mask"][np.arange(64), draw].all() for draw in draws)


def test_a_model_acts_in_larger_and_smaller_environments(file):
    for options in ({"num_users": (6, 6), "num_edges": (4, 4), "max_layers": 24}, {"num_users": 1, "num_edges": 1}):
        env = MigrationVectorEnv(8, make_generator("edge-cloud", **options))
        policy = resolve_policy(str(file), env, 0)
        observations, _ = env.reset(seed=0)
        running, shares = np.ones(8, bool), np.zeros(8)
        while running.any():
            observations, _, ended, _, infos = env.step(policy.predict(observations)[0])
            now = ended & running
            if now.any():
                shares[now] = infos["mean_delay_s"][now] / infos["device_only_delay_s"][now]
                assert not infos["illegal_action"][now].any()
            running &= ~now
        assert shares.mean() < 0.95  # uploads in no order save something at any size


def test_the_untrained_network_is_that_of_its_seed_and_leaves_torch_its_random_numbers():
    env = MigrationVectorEnv(16, make_generator("mobile"))
    state, found = torch.get_rng_state(), []
    for seed in (1, 1, 2):
        policy = resolve_policy("untrained", env, seed)
        observations, _ = env.reset(seed=0)
        actions, _ = policy.predict(observations)
        assert observations["action_mask"][np.arange(16), actions].all()
        found.append(policy.scores(observations))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_a_folder_stands_for_its_best_model(tmp_path):
    save(model_of(), tmp_path / MODEL, "edge-cloud", "joint", "a2c")
    assert load(tmp_path).card.decisions == "joint"
    save(model_of(decisions="two-phase"), tmp_path / BEST_MODEL, "edge-cloud", "two-phase", "a2c")
    assert load(tmp_path).card.decisions == "two-phase"


def test_a_model_is_not_used_for_what_it_was_not_trained_for(file):
    with pytest.raises(ValueError, match="trained with decisions='joint', not 'two-phase'"):
        load(file, MigrationVectorEnv(1, make_generator("edge-cloud"), "two-phase"))
    with pytest.raises(ValueError, match="where weights go through one lane, and here they go through several"):
        load(file, MigrationVectorEnv(1, make_generator("mobile")))
    toy = MigrationVectorEnv(1, make_generator("toy"))
    with pytest.raises(ValueError, match="trained on family 'edge-cloud', not 'toy'"):
        load(file, toy, "toy")
    observations, _ = toy.reset(seed=0)
    assert observations["action_mask"][0, load(file, toy).predict(observations)[0][0]]


def test_a_model_of_a_former_format_acts_if_it_saw_plain_observations(file, tmp_path):
    card = {**json.loads(zipfile.ZipFile(file).read(CARD)), "observation": "plain", "blind": []}
    older = damaged(file, tmp_path, CARD, json.dumps(card).encode())
    assert read_card(older) == read_card(file)
    env = MigrationVectorEnv(4, make_generator("edge-cloud"))
    observations, _ = env.reset(seed=0)
    expected = load(file, env).predict(observations)[0].tolist()
    assert load(older, env).predict(observations)[0].tolist() == expected


def test_the_weight_of_efficiency_of_former_formats_is_taken_over(file, tmp_path):
    env = MigrationVectorEnv(4, make_generator("edge-cloud"))
    observations, _ = env.reset(seed=0)
    weights = torch.load(io.BytesIO(zipfile.ZipFile(file).read("policy.pth")))
    (bias,) = (name for name in weights if name.endswith("query.bias"))
    width = read_card(file).width
    former = weights | {bias: weights[bias].clone(), bias.replace("query.bias", "efficiency"): torch.tensor(2.5)}
    former[bias][width] -= 2.5
    content = io.BytesIO()
    torch.save(former, content)
    older = damaged(file, tmp_path, "policy.pth", content.getvalue())
    found, expected = (load(each, env).scores(observations).numpy() for each in (older, file))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    del former[bias]
    content = io.BytesIO()
    torch.save(former, content)
    with pytest.raises(ValueError, match="do not fit this version's network"):
        load(damaged(file, tmp_path, "policy.pth", content.getvalue()), env)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        (None, b"", "copy.zip is damaged"),
        ("policy.pth", b"not a tensor", "copy.zip is damaged"),
        ("policy.pth", None, "copy.zip is damaged"),
        (CARD, b"{", "copy.zip is damaged"),
        (CARD, b"{}", "copy.zip is damaged"),
        (CARD, None, "not saved by `python -m train`"),
    ],
)
def test_a_damaged_model_is_named(file, tmp_path, name, content, text):
    with pytest.raises(ValueError, match=text) as caught:
        load(damaged(file, tmp_path, name, content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"users": "abc"}, "at users: Input should be a valid integer"),
        ({"users": 0}, "at users: Input should be greater than or equal to 1"),
        ({"width": 10**8}, "at width: Input should be less than or equal to 4096"),
        ({"context": True}, "at context: Input should be a valid integer"),
        ({"steps": -1}, "at steps: Input should be greater than or equal to 0"),
        (
            {"observation": "candidates"},
            "by a former version to see what environments do not show any more",
        ),
        (
            {"blind": ["gain"]},
            "what environments do not show any more; use the version that",
        ),
        ({"decisions": "threefold"}, "at decisions: String should match"),
        ({"algorithm": ["ppo"]}, "at algorithm: Input should be a valid string"),
        ({"charm": 1}, "at charm: Unexpected keyword argument"),
    ],
)
def test_what_a_card_cannot_say_is_named(file, tmp_path, change, text):
    card = json.loads(zipfile.ZipFile(file).read(CARD))
    with pytest.raises(ValueError) as refused:
        load(damaged(file, tmp_path, CARD, json.dumps({**card, **change}).encode()))
    assert str(refused.value).startswith(f"{tmp_path / 'copy.zip'} ")
    assert text in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"[1, 2]", b"[" * 100_000, b"\xff\xfe", b"null", b'{"algorithm": NaN}'])
def test_a_card_that_is_none_is_named(file, tmp_path, content):
    with pytest.raises(ValueError, match=r"copy\.zip is damaged in its card, dnnmig\.json"):
        load(damaged(file, tmp_path, CARD, content))


def weights_file(file, tmp_path, change):
    weights = torch.load(io.BytesIO(zipfile.ZipFile(file).read("policy.pth")), weights_only=True)
    content = io.BytesIO()
    torch.save(change(weights), content)
    return damaged(file, tmp_path, "policy.pth", content.getvalue())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda weights: [1, 2], "is damaged (TypeError)"),
        (
            lambda weights: {**weights, "mlp_extractor.network.value.0.bias": "text"},
            "do not fit this version's network",
        ),
        (lambda weights: {1: weights["mlp_extractor.network.query.bias"]}, "do not fit this version's network"),
        (lambda weights: {name: weight.to(torch.complex64) for name, weight in weights.items()}, "do not fit this"),
        (lambda weights: {name: weight.to(torch.int32) for name, weight in weights.items()}, "do not fit this"),
        (lambda weights: {name: weight * torch.nan for name, weight in weights.items()}, "weights that are not finite"),
    ],
)
def test_weights_that_are_none_are_named(file, tmp_path, change, text):
    with pytest.raises(ValueError) as refused:
        load(weights_file(file, tmp_path, change))
    assert text in str(refused.value)
    assert "copy.zip" in str(refused.value)


def test_a_network_whose_scores_are_not_finite_does_not_act(file, tmp_path):
    env = MigrationVectorEnv(2, make_generator("edge-cloud"))
    large = weights_file(file, tmp_path, lambda weights: {name: weight * 1e30 for name, weight in weights.items()})
    with pytest.raises(
        ValueError, match=r"a2c has trained for 0 steps in family 'edge-cloud' gives scores that are not"
    ):
        load(large, env).predict(env.reset(seed=0)[0])


def test_weights_of_another_network_are_named(file, tmp_path):
    card = json.loads(zipfile.ZipFile(file).read(CARD))
    with pytest.raises(ValueError, match="do not fit this version's network"):
        load(damaged(file, tmp_path, CARD, json.dumps({**card, "width": 9}).encode()))
    with pytest.raises(ValueError, match="unknown algorithm 'sarsa'"):
        load(damaged(file, tmp_path, CARD, json.dumps({**card, "algorithm": "sarsa"}).encode()))


def test_the_weights_of_every_algorithm_are_found_by_their_names():
    assert set(NETWORK_PREFIXES) == set(ALGORITHMS)


def test_missing_models_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"no model at .*nowhere\.zip"):
        load(tmp_path / "nowhere.zip")
    with pytest.raises(ValueError, match=r"holds no best_model\.zip or model\.zip"):
        load(tmp_path)


def test_a_failed_save_leaves_the_older_model(file, tmp_path):
    path = tmp_path / MODEL
    path.write_bytes(file.read_bytes())
    model = model_of()
    model.num_timesteps = object()  # cannot be written
    with pytest.raises(TypeError):
        save(model, path, "edge-cloud", "joint", "a2c")
    assert path.read_bytes() == file.read_bytes()


def test_acting_needs_no_stable_baselines():
    code = "import sys, agents.policies.trained; sys.exit('stable_baselines3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class _Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_reading_a_model_runs_no_code_from_its_file(file, tmp_path):
    content = io.BytesIO()
    torch.save({"weights": _Trap(tmp_path / "sprung")}, content)
    with pytest.raises(ValueError, match=r"copy\.zip is damaged \(UnpicklingError\)"):
        load(damaged(file, tmp_path, "policy.pth", content.getvalue()))
    assert not (tmp_path / "sprung").exists()


def test_a_network_of_action_values_draws_nothing(tmp_path):
    save(model_of("dqn"), tmp_path / MODEL, "edge-cloud", "joint", "dqn")
    env = MigrationVectorEnv(64, make_generator("edge-cloud"))
    observations, _ = env.reset(seed=0)
    policy = load(tmp_path / MODEL, env)
    greedy = policy.predict(observations)[0].tolist()
    assert all(policy.predict(observations, deterministic=False)[0].tolist() == greedy for _ in range(3))


def test_a_card_without_a_layout_is_of_the_first_one(file, tmp_path):
    card = json.loads(zipfile.ZipFile(file).read(CARD))
    assert card.pop("format") == FORMAT > 1
    assert read_card(damaged(file, tmp_path, CARD, json.dumps(card).encode())).format == 1


@pytest.mark.parametrize(("lanes", "action"), [(False, 2), (True, 0)])
def test_where_there_are_lanes_it_is_asked_first_whether_anything_is_sent(lanes, action):
    class Fixed(torch.nn.Module):
        def forward(self, observation, mask):
            return torch.tensor([[0.3, 0.25, 0.45]]).log().expand(len(mask), 3), torch.zeros(len(mask), 1)

    card = Card("grpo", "mobile", "joint", 2, 1, 1, 8, 8, 0, lanes=lanes)
    policy = TrainedPolicy(Fixed(), card)
    observation = {"observation": np.zeros((2, 4), np.float32), "action_mask": np.ones((2, 3), np.int8)}
    assert policy.predict(observation)[0].tolist() == [action, action]
    values = TrainedPolicy(Fixed(), card, scores_are_values=True)
    assert values.predict(observation)[0].tolist() == [2, 2]
