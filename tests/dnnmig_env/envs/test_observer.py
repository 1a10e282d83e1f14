"""Observers and rewarders: what is handed to an environment is told of all that happens, and is what policies meet."""

import gymnasium
import numpy as np
import pytest

import dnnmig_env  # noqa: F401  registers the environments
from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.envs.batch import EpisodeBatch
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.facts.layout import FactsLayout
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.simulation.packed import Limits


class Clock:
    """An observer that shows the share of the horizon that has passed, and notes what it is told."""

    kind = "clock"

    def __init__(self, episodes: EpisodeBatch) -> None:
        self.layout = FactsLayout(1, 1, 1)
        self.observation = np.zeros((episodes.rows, self.layout.size), np.float32)
        self.told: list[tuple[str, list[int]]] = []
        self._episodes = episodes

    def start(self, rows: Ints) -> None:
        self.told.append(("start", rows.tolist()))
        self._write(rows)

    def step(self, rows: Ints, actions: Ints) -> None:
        assert len(actions) == len(rows)
        self.told.append(("step", rows.tolist()))
        self._write(rows)

    def _write(self, rows: Ints) -> None:
        horizons_s = self._episodes.packed.slot_edges_s[rows].max(axis=1)
        self.observation[rows, 0] = self._episodes.state.time_s[rows] / horizons_s


class Pence:
    """A rewarder that pays 2 s per decision of an active row."""

    def __init__(self, episodes: EpisodeBatch) -> None:
        self.started: list[int] = []

    def start(self, rows: Ints) -> None:
        self.started += rows.tolist()

    def step(self, actions: Ints, active: Bools) -> Floats:
        return np.where(active, 2.0, 0.0)


def test_an_observer_is_told_of_starts_and_of_steps_of_active_rows_alone() -> None:
    env = MigrationVectorEnv(3, make_generator("toy"), autoreset_mode="Disabled", observation=Clock)
    stop = env.stop_action
    observations, _ = env.reset(seed=0)
    observer = env.episodes.observer
    assert isinstance(observer, Clock)
    assert observer.told == [("start", [0, 1, 2])]
    assert observations["observation"].shape == (3, observer.layout.size)
    observations, _, ended, _, _ = env.step(np.array([stop, 0, stop]))  # the toy has one slot: stop ends the episode
    assert ended.tolist() == [True, False, True]
    assert observations["observation"][[0, 2], 0].tolist() == [1.0, 1.0]
    env.step(np.full(3, stop))
    assert observer.told[1:] == [("step", [0, 1, 2]), ("step", [1])]
    assert env.episodes.outputs.observation.size == 0  # facts that nobody sees are not written


def test_what_is_observed_does_not_change_what_happens() -> None:
    given, rng = scenarios("mobile", 4, seed=2), np.random.default_rng(0)
    envs = [MigrationVectorEnv(4, make_generator("mobile"), observation=kind) for kind in ("plain", Clock)]
    for env in envs:
        env.reset(seed=0, options={"scenarios": given})
    for _ in range(60):
        mask = envs[0].episodes.outputs.mask
        actions = np.argmax(rng.random(mask.shape) * mask, axis=1)
        (_, one, ended, _, _), (_, other, also, _, _) = (env.step(actions) for env in envs)
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(ended, also)


@pytest.mark.parametrize("scale", ["seconds", "device-only"])
def test_a_rewarder_pays_instead_of_the_step(scale: str) -> None:
    env = MigrationVectorEnv(2, make_generator("toy"), reward=Pence, scale=scale)  # type: ignore[arg-type]
    env.reset(seed=0)
    _, rewards, _, _, infos = env.step(np.full(2, env.stop_action))
    device_only_s = env.episodes.outputs.device_only_s
    expected = np.full(2, 2.0) if scale == "seconds" else 2.0 / device_only_s
    assert rewards.tolist() == expected.tolist()
    assert infos["mean_delay_s"].tolist() == pytest.approx(device_only_s.tolist())
    assert env.episodes._rewarder.started[:2] == [0, 1]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"observation": "everything"},
            "observation is 'everything'; give 'plain', or a function that makes",
        ),
        ({"reward": "praise"}, "reward is 'praise'; choose one of delay, shaped"),
        ({"scale": "hours"}, "scale is 'hours'; choose one of seconds, device-only"),
    ],
)
def test_what_cannot_be_seen_or_paid_is_explained(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gymnasium.make("dnnmig/Toy-v0", **options)


def test_limits_take_the_place_of_a_generator_where_scenarios_are_given() -> None:
    given, generator = scenarios("edge-cloud", 3, seed=5, num_users=2), make_generator("edge-cloud")
    drawn = MigrationVectorEnv(3, generator)
    fitted = MigrationVectorEnv(3, limits=Limits.of(given), autoreset_mode="Disabled")
    padded = MigrationVectorEnv(3, limits=generator.limits, autoreset_mode="Disabled")
    for env in (drawn, fitted, padded):
        env.reset(options={"scenarios": given})
    np.testing.assert_array_equal(drawn.episodes.observation, padded.episodes.observation)
    np.testing.assert_array_equal(drawn.episodes.outputs.device_only_s, fitted.episodes.outputs.device_only_s)
    assert fitted.single_action_space.n < padded.single_action_space.n
    with pytest.raises(ValueError, match=r"there is no generator to draw a scenario from; give one"):
        fitted.reset(seed=0)
    with pytest.raises(ValueError, match=r"scenario needs .* this environment holds at most"):
        fitted.reset(options={"scenarios": scenarios("multi-user", 3, seed=0)})


def test_a_single_environment_without_a_generator_plays_its_scenario() -> None:
    (scenario,) = scenarios("toy", 1, seed=0)
    env = MigrationEnv(scenario=scenario, limits=Limits.of([scenario]))
    first, _ = env.reset(seed=1)
    again, _ = env.reset()
    np.testing.assert_array_equal(first["observation"], again["observation"])
    assert MigrationEnv(scenario=scenario).episodes.limits == Limits.of([scenario])
    with pytest.raises(TypeError, match=r"limits is 3; give a Limits, such as Limits\.of"):
        MigrationEnv(scenario=scenario, limits=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"generator is 'multi-user'; give a generator, .*make_generator"):
        MigrationEnv("multi-user")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="generator and limits are both None"):
        MigrationEnv()
