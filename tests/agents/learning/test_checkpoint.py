"""Training goes on from a file with all that was learned and remembered, and no file can make it run code."""

import base64
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from agents.learning.algorithms import TRAINING_REWARD, make_model
from agents.learning.checkpoint import TRAINING, read_training, restore, save
from agents.learning.masked_policy import NotFiniteError
from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.policies.trained import MODEL, load
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from tests.damaged_model import damaged

SMALL = {
    "ppo": {"n_steps": 8},
    "a2c": {},
    "maskable-ppo": {"n_steps": 8},
    "dqn": {
        "buffer_size": 80,
        "learning_starts": 16,
        "target_update_interval": 16,
        "gradient_steps": 2,
        "batch_size": 16,
    },
    "grpo": {"group_size": 2, "batch_size": 16},
    "self-labelling": {"group_size": 2, "batch_size": 16},
}


def new_model(algorithm, seed=1, **settings):
    env = MigrationVectorEnv(4, make_generator("toy"), autoreset_mode="SameStep", **TRAINING_REWARD)
    return make_model(algorithm, Sb3VecEnv(env), seed=seed, device="cpu", settings={**SMALL[algorithm], **settings})


def saved(model, folder, algorithm):
    save(model, folder / MODEL, "toy", "joint", algorithm)
    return folder / MODEL


def tensors(state, place=""):
    """Return the tensors of a model's states by their places."""
    if isinstance(state, torch.Tensor):
        return {place: state}
    parts = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list) else ()
    return {name: tensor for key, part in parts for name, tensor in tensors(part, f"{place}/{key}").items()}


@pytest.mark.parametrize("algorithm", SMALL)
def test_weights_optimiser_settings_and_counters_come_back(algorithm, tmp_path):
    model = new_model(algorithm, learning_rate=0.003)
    model.learn(96)
    file = saved(model, tmp_path, algorithm)
    again = new_model(algorithm, seed=2, **read_training(file).settings)
    before, start = tensors(model.get_parameters()), tensors(again.get_parameters())
    assert any(not torch.equal(before[name], start.get(name, torch.zeros(1))) for name in before)
    restore(again, file)
    after = tensors(again.get_parameters())
    assert set(after) == set(before)
    first = "momentum_buffer" if algorithm in ("grpo", "self-labelling") else "exp_avg"  # of past gradients
    assert any(f"optimizer/state/0/{first}" in name for name in after)
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor), name
    assert again.settings == model.settings
    for counter in ("_n_updates", "_episode_num", "_n_calls", "exploration_rate", "exploration_steps", "rounds"):
        assert getattr(again, counter, None) == getattr(model, counter, None)
    assert read_training(file).counters


@pytest.mark.parametrize("decisions", [48, 96])  # a memory of 20 rows of 4 that is partly filled, and one gone round
def test_the_memory_of_dqn_comes_back_bit_by_bit(decisions, tmp_path):
    model = new_model("dqn")
    model.learn(decisions)
    again = new_model("dqn", seed=2)
    restore(again, saved(model, tmp_path, "dqn"))
    old, new = model.replay_buffer, again.replay_buffer
    assert (new.pos, new.full, new.size()) == (old.pos, old.full, min(decisions // 4, 20))
    for name in ("actions", "rewards", "dones", "timeouts"):
        assert np.array_equal(getattr(new, name), getattr(old, name))
    for name in ("observations", "next_observations"):
        for key, array in getattr(old, name).items():
            assert np.array_equal(getattr(new, name)[key], array)
    assert old.dones[: old.size()].any()  # so that some next observations are ends of episodes


def test_the_memory_of_a_resumed_dqn_is_saved_as_well(tmp_path):
    model = new_model("dqn")
    model.learn(48)
    again = new_model("dqn")
    restore(again, saved(model, tmp_path, "dqn"))
    again.num_timesteps = 48
    again.learn(16, reset_num_timesteps=False)  # new episodes: a seam in the memory
    last = new_model("dqn")
    restore(last, saved(again, tmp_path, "dqn"))
    assert last.replay_buffer.pos == 16
    for key, array in again.replay_buffer.next_observations.items():
        assert np.array_equal(last.replay_buffer.next_observations[key], array)


def test_a_memory_takes_little_room(tmp_path):
    model = new_model("dqn", buffer_size=4000, learning_starts=4000)
    model.learn(4000)
    file = saved(model, tmp_path, "dqn")
    with zipfile.ZipFile(file) as archive:
        members = [info for info in archive.infolist() if info.filename.startswith("memory/")]
    whole = sum(array.nbytes for array in model.replay_buffer.observations.values())
    assert sum(info.compress_size for info in members) < 0.15 * 2 * whole


def test_dqn_explores_no_more_after_a_resume(tmp_path):
    model = new_model("dqn", exploration_fraction=0.5, exploration_final_eps=0.02)
    model.learn(100)
    assert model.exploration_rate == pytest.approx(0.02)
    again = new_model("dqn", exploration_fraction=0.5, exploration_final_eps=0.02)
    restore(again, saved(model, tmp_path, "dqn"))
    again.num_timesteps = 100
    rates, choose = [], again.predict
    again.predict = lambda *arguments, **options: rates.append(again.exploration_rate) or choose(*arguments, **options)
    again.learn(900, reset_num_timesteps=False)  # by the share of 1000 it would be 0.8 at first
    assert len(rates) >= 225
    assert set(rates) == {0.02}


def test_exploration_falls_until_the_decision_that_the_first_call_has_set():
    model = new_model("dqn", exploration_fraction=0.5, exploration_final_eps=0.0)
    model.learn(100)
    assert model.exploration_steps == 100
    model.num_timesteps = 24
    model._on_step()
    assert model.exploration_rate == pytest.approx(1.0 - 24 / 50)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def planted(file, folder, trap):
    """Return copies of a model file each of which holds a trap in another member."""
    pickled = pickle.dumps(trap)
    data = {"policy_class": {":type:": "x", ":serialized:": base64.b64encode(pickled).decode()}}
    state, objects = io.BytesIO(), io.BytesIO()
    torch.save({"state": trap, "param_groups": []}, state)
    np.save(objects, np.array([trap], object), allow_pickle=True)
    contents = {
        "data": json.dumps(data).encode(),  # where SB3 keeps pickled objects
        "pytorch_variables.pth": state.getvalue(),
        "policy.pth": state.getvalue(),
        "policy.optimizer.pth": state.getvalue(),
        "memory/actions.npy": objects.getvalue(),
    }
    for name, content in contents.items():
        copy = damaged(file, folder, name, content)
        yield name, copy


def test_no_code_in_a_file_is_run_when_training_goes_on(tmp_path):
    model = new_model("dqn")
    model.learn(48)
    file, sprung = saved(model, tmp_path, "dqn"), tmp_path / "sprung"
    again, refused = new_model("dqn"), []
    for name, copy in planted(file, tmp_path, Trap(sprung)):
        try:
            load(copy)
            read_training(copy)
            restore(again, copy)
        except ValueError as error:
            assert "copy.zip is damaged (" in str(error)
            refused.append(name)
        assert not sprung.exists()
    assert refused == ["policy.pth", "policy.optimizer.pth", "memory/actions.npy"]  # the others are not even read
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()  # the trap works


def test_a_file_has_no_pickled_objects_of_sb3(tmp_path):
    with zipfile.ZipFile(saved(new_model("ppo"), tmp_path, "ppo")) as archive:
        assert archive.namelist() == ["dnnmig.json", "policy.pth", TRAINING, "policy.optimizer.pth"]
    save(new_model("ppo"), tmp_path / MODEL, "toy", "joint", "ppo", for_training=False)
    with zipfile.ZipFile(tmp_path / MODEL) as archive:
        assert archive.namelist() == ["dnnmig.json", "policy.pth"]
    with pytest.raises(ValueError, match=r"has no training\.json: it was saved to act, not to go on with"):
        read_training(tmp_path / MODEL)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        (TRAINING, b"[]", r"copy\.zip is damaged in training\.json: \[\]; must be a mapping"),
        (TRAINING, b'{"settings": {"gamma": "x"}, "counters": {}}', r"training\.json: settings"),
        (TRAINING, b"\xff", r"copy\.zip is damaged"),
        (TRAINING, b"[" * 100_000, r"training\.json: it is nested too deeply"),
        ("policy.optimizer.pth", None, r"copy\.zip is damaged \(KeyError\)"),
        ("memory/position.npy", None, r"does not fit the training that is to go on \(.*position"),
        ("memory/position.npy", b"\x93NUMPY", r"copy\.zip is damaged"),
    ],
)
def test_damaged_training_states_are_named(name, content, text, tmp_path):
    model = new_model("dqn")
    model.learn(48)
    copy = damaged(saved(model, tmp_path, "dqn"), tmp_path, name, content)
    with pytest.raises(ValueError, match=text) as refused:
        restore(new_model("dqn"), copy)
    assert "\n" not in str(refused.value)


def test_a_state_of_something_else_is_named(tmp_path):
    model = new_model("dqn")
    model.learn(96)
    file = saved(model, tmp_path, "dqn")
    with pytest.raises(ValueError, match=r"does not fit the training .* the replay memory"):
        restore(new_model("dqn", buffer_size=40), file)
    position = io.BytesIO()
    np.save(position, np.array([2, 0]))
    with pytest.raises(ValueError, match=r"does not fit the training .*actions in the replay memory has shape"):
        restore(new_model("dqn"), damaged(file, tmp_path, "memory/position.npy", position.getvalue()))
    actions = io.BytesIO()
    np.save(actions, np.full_like(model.replay_buffer.actions, 10**6))
    with pytest.raises(ValueError, match="has an action that does not exist"):
        restore(new_model("dqn"), damaged(file, tmp_path, "memory/actions.npy", actions.getvalue()))
    other = tmp_path / "other.zip"
    save(new_model("ppo"), other, "toy", "joint", "ppo")
    with pytest.raises(ValueError, match=r"other\.zip does not fit the training"):
        restore(new_model("dqn"), other)


def test_an_optimiser_of_other_shapes_is_named_before_the_first_step(tmp_path):
    model = new_model("a2c")
    model.learn(64)
    state = model.policy.optimizer.state_dict()
    state["state"][0]["exp_avg"] = torch.zeros(3, 3)
    content = io.BytesIO()
    torch.save(state, content)
    copy = damaged(saved(model, tmp_path, "a2c"), tmp_path, "policy.optimizer.pth", content.getvalue())
    with pytest.raises(ValueError, match=r"the optimiser has \(3, 3\) for "):
        restore(new_model("a2c"), copy)


def test_the_optimiser_steps_as_the_settings_say_whatever_the_file_says(tmp_path):
    model = new_model("a2c")
    model.learn(64)
    state = model.policy.optimizer.state_dict()
    state["param_groups"][0]["lr"] = "import os"
    content = io.BytesIO()
    torch.save(state, content)
    again = new_model("a2c", learning_rate=0.25)
    restore(again, damaged(saved(model, tmp_path, "a2c"), tmp_path, "policy.optimizer.pth", content.getvalue()))
    assert again.policy.optimizer.param_groups[0]["lr"] == 0.25


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_neither_saved_nor_read(number, tmp_path):
    model = new_model("ppo")
    file = saved(model, tmp_path, "ppo")
    good = file.read_bytes()
    weights = model.policy.state_dict()
    with torch.no_grad():
        next(model.policy.parameters()).view(-1)[0] = number
    with pytest.raises(NotFiniteError, match="numbers in the model's policy are not finite"):
        save(model, file, "toy", "joint", "ppo")
    assert file.read_bytes() == good
    assert [path.name for path in tmp_path.iterdir()] == [MODEL]
    weights["mlp_extractor.network.stop.bias"].fill_(number)
    content = io.BytesIO()
    torch.save(weights, content)
    with pytest.raises(ValueError, match=r"copy\.zip has weights that are not finite .*: its training has failed"):
        load(damaged(file, tmp_path, "policy.pth", content.getvalue()))


def test_a_failed_write_leaves_the_older_model_and_nothing_else(tmp_path, monkeypatch):
    model = new_model("ppo")
    file = saved(model, tmp_path, "ppo")
    good = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    for function in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, full)
            with pytest.raises(OSError, match="No space left"):
                saved(new_model("ppo", seed=3), tmp_path, "ppo")
        assert file.read_bytes() == good
        assert [path.name for path in tmp_path.iterdir()] == [MODEL]
