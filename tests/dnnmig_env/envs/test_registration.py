"""`gymnasium.make` and `make_vec`: unknown options, every render mode, masks that sample, given scenarios."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.registration import ENVIRONMENT_IDS
from dnnmig_env.families.registry import scenarios
from dnnmig_env.simulation.packed import Limits

IDS = list(ENVIRONMENT_IDS.values())


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize(("make", "function"), [(gymnasium.make, "make_env"), (gymnasium.make_vec, "make_vector_env")])
def test_an_unknown_option_is_the_type_error_that_python_raises_with_a_hint(name, make, function) -> None:
    with pytest.raises(TypeError, match=rf"{function}\(\) got an unexpected keyword argument 'frameskip'. The options"):
        make(name, frameskip=1)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'renderer_mode'. did you mean 'render_mode'\?"):
        make(name, renderer_mode="ansi")


def test_options_of_the_other_function_and_of_the_family_are_hinted_at() -> None:
    for option in ({"autoreset_mode": "SameStep"}, {"num_envs": 2}):
        with pytest.raises(TypeError, match=r"It is an option of gymnasium.make_vec\."):
            gymnasium.make("dnnmig/Toy-v0", **option)
    with pytest.raises(TypeError, match=r"'num_userz'. did you mean 'num_users'\?"):
        gymnasium.make("dnnmig/MultiUser-v0", num_userz=4)
    with pytest.raises(TypeError, match="unexpected keyword argument 'num_users'"):
        gymnasium.make("dnnmig/Toy-v0", num_users=4)  # an option of other families


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"autoreset_mode": "sometimes"}, "autoreset_mode is 'sometimes'; choose one of NextStep, SameStep, Disabled"),
        ({"render_mode": "human"}, "render_mode is 'human'; choose one of rgb_array, ansi"),
        ({"render_mode": "svg"}, "render_mode is 'svg'; choose one of rgb_array, ansi"),
        ({"illegal": "ignore"}, "illegal is 'ignore'; choose one of end, repair"),
    ],
)
def test_a_wrong_option_of_a_batch_is_refused(option, message) -> None:
    with pytest.raises(ValueError, match=message):
        gymnasium.make_vec("dnnmig/Toy-v0", num_envs=2, **option)


@pytest.mark.parametrize("mode", AutoresetMode)
def test_modes_may_be_given_by_name(mode) -> None:
    for given in (mode, mode.value):
        env = gymnasium.make_vec("dnnmig/Toy-v0", num_envs=2, autoreset_mode=given)
        assert env.metadata["autoreset_mode"] is mode


@pytest.mark.parametrize("name", IDS)
def test_lists_of_frames_and_texts_are_collected(name) -> None:
    for mode, kind in (("rgb_array_list", np.ndarray), ("ansi_list", str)):
        env = gymnasium.make(name, render_mode=mode)
        env.reset(seed=0)
        env.step(env.unwrapped.stop_action)
        frames = env.render()
        assert [type(frame) for frame in frames] == [kind, kind]


def test_a_window_shows_the_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with pytest.warns(UserWarning, match="HumanRendering wrapper is being applied"):
        env = gymnasium.make("dnnmig/Toy-v0", render_mode="human")
    env.reset(seed=0)
    env.step(env.unwrapped.stop_action)
    shown = pygame.surfarray.array3d(env.get_wrapper_attr("window"))
    assert shown.std() > 5
    env.close()


@pytest.mark.parametrize("mode", ["rgb_array", "ansi"])
def test_a_batch_renders_every_row_as_single_environments_do(mode) -> None:
    batch = gymnasium.make_vec("dnnmig/EdgeCloud-v0", num_envs=3, render_mode=mode)
    assert batch.render_mode == mode
    batch.reset(seed=1)
    actions = batch.unwrapped.action_masks().argmax(axis=1)
    batch.step(actions)
    frames = batch.render()
    assert len(frames) == 3
    for row, frame in enumerate(frames):
        env = gymnasium.make("dnnmig/EdgeCloud-v0", render_mode=mode)
        env.reset(seed=1 + row)
        env.step(actions[row])
        np.testing.assert_array_equal(env.render(), frame)


def test_nothing_is_rendered_unless_a_mode_is_chosen() -> None:
    env = gymnasium.make_vec("dnnmig/Toy-v0", num_envs=2)
    env.reset(seed=0)
    assert env.render() is None


def test_the_mask_of_an_observation_and_of_info_is_what_gymnasium_samples_with() -> None:
    env = gymnasium.make("dnnmig/MultiUser-v0")
    observation, info = env.reset(seed=0)
    for mask in (observation["action_mask"], info["action_mask"]):
        assert env.unwrapped.action_masks()[env.action_space.sample(mask)]
    assert env.unwrapped.action_masks().dtype == np.bool_
    batch = gymnasium.make_vec("dnnmig/MultiUser-v0", num_envs=2)
    observations, _ = batch.reset(seed=0)
    masks = tuple(observations["action_mask"])
    legal = batch.unwrapped.action_masks()
    assert legal[np.arange(2), batch.action_space.sample(mask=masks)].all()


def test_a_scenario_given_to_a_batch_is_played_in_every_episode_of_every_row() -> None:
    (scenario,) = scenarios("edge-cloud", 1, seed=5)
    batch = gymnasium.make_vec("dnnmig/EdgeCloud-v0", num_envs=2, scenario=scenario).unwrapped
    env = gymnasium.make("dnnmig/EdgeCloud-v0", scenario=scenario).unwrapped
    for _ in range(2):
        batch.reset()
        env.reset()
        assert [batch.scenario(0), batch.scenario(1), env.scenario()] == [scenario] * 3
    with pytest.raises(TypeError, match="scenario has a str where a Scenario belongs"):
        gymnasium.make_vec("dnnmig/EdgeCloud-v0", num_envs=2, scenario="mine.yaml")


def test_the_sizes_of_an_environment_grow_to_hold_the_scenario_that_it_plays() -> None:
    (large,) = scenarios("multi-user", 1, seed=5, num_users=12, num_edges=6)
    usual, needed = gymnasium.make("dnnmig/EdgeCloud-v0").unwrapped.episodes.limits, Limits.of([large])
    env = gymnasium.make("dnnmig/EdgeCloud-v0", scenario=large, disable_env_checker=True).unwrapped
    batch = gymnasium.make_vec("dnnmig/EdgeCloud-v0", num_envs=2, scenario=large).unwrapped
    for each in (env, batch):
        each.reset(seed=1)
        assert each.episodes.limits.users == needed.users == 12
        assert each.episodes.limits.servers == needed.servers
        assert each.episodes.limits.layers == max(usual.layers, needed.layers)
    with pytest.raises(ValueError, match="holds at most"):
        gymnasium.make("dnnmig/EdgeCloud-v0", scenario=large, limits=usual)
    alone = MigrationEnv(scenario=large)
    alone.reset()
    stop = alone.action_space.n - 1
    device_only_s = alone.reset()[1]["device_only_delay_s"]
    done, info = False, {}
    while not done:
        _, _, done, _, info = alone.step(stop)
    assert info["mean_delay_s"] == pytest.approx(device_only_s)


def test_the_layout_says_how_actions_and_observations_are_laid_out() -> None:
    for env in (gymnasium.make("dnnmig/Toy-v0"), gymnasium.make_vec("dnnmig/Toy-v0", num_envs=2)):
        layout = env.unwrapped.layout
        # Two users of at most three layers, two servers: (user * 3 + layer) * 2 + server - 1, then "stop".
        assert layout.encode(1, 0, 2) == 7
        assert layout.decode(7) == (1, 0, 2)
        assert (layout.stop, layout.decode(layout.stop), layout.size) == (12, None, 13)
        seen = env.unwrapped.observation_layout
        assert seen.slices["edges"].stop == seen.size == env.observation_space["observation"].shape[-1]


def test_drawn_scenarios_are_played_in_the_sizes_that_are_asked_for() -> None:
    larger = Limits(users=9, layers=9, servers=9, slots=9, edges=99, inputs=3, shares=4)
    usual, padded = (gymnasium.make("dnnmig/Toy-v0", **options).unwrapped for options in ({}, {"limits": larger}))
    for env in (usual, padded):
        env.reset(seed=3)
    assert padded.action_space.n == 9 * 9 * 9 + 1
    for user, layer, server in ((0, 0, 1), (0, 1, 2)):
        rewards = [env.step(env.layout.encode(user, layer, server))[1] for env in (usual, padded)]
        assert rewards[0] == pytest.approx(rewards[1])
        assert rewards[0] < 0
    with pytest.raises(ValueError, match="holds at most 1"):
        gymnasium.make("dnnmig/Toy-v0", limits=Limits(1, 1, 1, 1, 1)).unwrapped.reset(seed=0)
