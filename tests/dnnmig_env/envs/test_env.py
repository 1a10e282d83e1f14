"""The environments keep their word: returns, masks, causality, single and batch alike, Gymnasium's contract."""

import pickle
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_gymnasium_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as check_sb3_env

import dnnmig_env  # noqa: F401  registers the environments
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.registration import ENVIRONMENT_IDS, make_env, make_vector_env
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import FAMILIES, make_generator, scenarios
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import has_lanes, pack
from dnnmig_env.simulation.plan import Plan, Upload, check_plan
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from tests.batch_rows import assert_rows_are_single_environments
from tests.hand_made import two_servers, user

MODES = ["joint", "two-phase"]

SMALL = {"city": {"num_users": 4, "num_present": 4, "arrivals_per_min": (6.0, 12.0), "horizon_s": 30.0}}
"""Options under which an episode of a family is short."""


def rollout(env: MigrationEnv, rng: np.random.Generator, stop_share: float = 0.05, **reset):
    """Play one episode of random legal actions; return the return, the last info and every observation."""
    observation, info = env.reset(**reset)
    seen, total, done = [observation], 0.0, False
    while not done:
        legal = np.flatnonzero(env.action_masks())
        placing = env.pending_layer() is not None
        if len(legal) > 1 and not placing and rng.random() > stop_share:
            legal = legal[:-1]
        observation, reward, done, truncated, info = env.step(rng.choice(legal))
        assert not truncated
        seen.append(observation)
        total += reward
    return total, info, seen


def simulated_delay_s(env: MigrationEnv) -> float:
    return float(mean_delays_s(pack([env.scenario()]), plan_arrays([env.plan()]))[0])


@pytest.mark.parametrize("decisions", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_return_is_minus_the_mean_delay_of_the_simulated_plan(family, decisions):
    generator, rng = make_generator(family, **SMALL.get(family, {})), np.random.default_rng(1)
    env = MigrationEnv(generator, decisions=decisions)
    for seed in range(15):
        total, info, _ = rollout(env, rng, seed=seed)
        assert total == pytest.approx(-simulated_delay_s(env), rel=1e-9)
        assert info["mean_delay_s"] == pytest.approx(-total, rel=1e-9)
        assert not info["illegal_action"]


@pytest.mark.parametrize("family", ["multi-user", "mobile"])
def test_rewards_in_device_only_units_and_shaped_rewards_add_up_to_what_they_say(family):
    for seed in range(8):
        returns = {}
        for reward, scale in [("delay", "seconds"), ("delay", "device-only"), ("shaped", "seconds")]:
            env = MigrationEnv(make_generator(family), reward=reward, scale=scale)
            returns[reward, scale], info, _ = rollout(env, np.random.default_rng(seed), seed=seed)
        delay_s, device_s = info["mean_delay_s"], info["device_only_delay_s"]
        assert returns["delay", "device-only"] == pytest.approx(-delay_s / device_s)
        scenario = env.scenario()
        rates = np.array([np.asarray(user.query_rate_hz) for user in scenario.users])
        slots = np.diff([*scenario.slot_starts_s, scenario.horizon_s])
        at_start = (rates[:, 0] * env.episodes.state.device_delay_s[0, : len(rates)]).sum()
        potential = -at_start * scenario.horizon_s / (rates @ slots).sum()
        assert returns["shaped", "seconds"] == pytest.approx(-delay_s - potential)


@pytest.mark.parametrize("decisions", MODES)
def test_an_action_is_legal_exactly_when_its_mask_bit_is_set(decisions):
    generator, rng = make_generator("multi-user", num_users=(2, 2), max_layers=4), np.random.default_rng(3)
    env = MigrationEnv(generator, decisions=decisions)
    for length in (0, 1, 3, 6):
        prefix: list[int] = []
        for action in range(env.action_space.n):
            env.reset(seed=5)
            for taken in prefix:
                env.step(taken)
            while len(prefix) < length:
                prefix.append(rng.choice(np.flatnonzero(env.action_masks())[:-1]))
                env.step(prefix[-1])
            legal = env.action_masks()[action]
            before_s = env.episodes.mean_delay_s(0)
            _, reward, done, _, info = env.step(action)
            assert info["illegal_action"] != legal
            if not legal:
                assert done
                assert reward == pytest.approx(-(info["mean_delay_s"] - before_s))


def test_an_illegal_action_charges_the_rest_at_the_device_only_delay():
    env = MigrationEnv(make_generator("toy"))
    env.reset()
    _, reward, done, _, info = env.step(env.encode(1, 1, 1))  # the second user's network has one layer
    assert done
    assert info["illegal_action"]
    assert -reward == pytest.approx(info["device_only_delay_s"])


def test_an_illegal_action_charges_only_the_time_that_is_left():
    # The toy's best plan until 4.071 s, as worked out there: delays of 7 s in all for 2 s, then of 4.9 s while the
    # second upload takes 2 / (1 - 0.1 / 2.9) s. Then an illegal action, and 7 s, all on the devices, until 10 s.
    env = MigrationEnv(make_generator("toy"))
    env.reset()
    rewards = [env.step(action)[1] for action in (env.encode(0, 1, 1), env.encode(1, 0, 2))]
    second_s = 2 / (1 - 0.1 / 2.9)
    assert env.time_s() == pytest.approx(2 + second_s)
    _, reward, _, _, info = env.step(env.encode(1, 0, 2))
    assert info["illegal_action"]
    assert [*rewards, reward] == pytest.approx([-7 * 2 / 20, -4.9 * second_s / 20, -7 * (8 - second_s) / 20])
    assert info["mean_delay_s"] == pytest.approx((7 * (10 - second_s) + 4.9 * second_s) / 20)
    assert env.time_s() == 10.0


def test_memory_is_taken_by_what_is_uploaded_and_by_what_was_uploaded_before():
    # The toy's edge holds 4 MB, 2 of them `head` from the start: `body` (2 MB) and `all` (1 MB) fit, `tail` (4 MB) not.
    # Once `all` has been uploaded there, `body` fits no more. The cloud takes everything.
    (scenario,) = scenarios("toy", 1, seed=0)
    vision, speech = scenario.users
    env = MigrationEnv(make_generator("toy"))
    env.reset(options={"scenario": replace(scenario, users=(replace(vision, uploaded=[1, 0, 0]), speech))})
    assert legal_uploads(env) == {(0, 1, 1), (1, 0, 1), (0, 1, 2), (0, 2, 2), (1, 0, 2)}
    env.step(env.encode(1, 0, 1))
    assert legal_uploads(env) == {(0, 1, 2), (0, 2, 2)}


@pytest.mark.parametrize("moves", [False, True])
def test_what_fills_the_memory_exactly_fits_and_what_has_no_connection_is_not_sent(moves):
    # Server 1 has 2 MB of memory, server 2 has 4 MB. Until 20 s, each user has a connection to one of them only.
    users = [user("ann", [2, 3], query_rate_hz=1.0), user("bob", [4, 5], query_rate_hz=1.0)]
    rates, cells = [np.eye(2), np.ones((2, 2))], {"home": [[1, 2], [1, 2]]} if moves else {}
    times = {"slot_starts_s": (0.0, 20.0), "horizon_s": 30.0}
    scenario = two_servers(users, memory_mb=(2, 4), up_mb_per_s=rates, moves=moves, **cells, **times)
    env = MigrationEnv(scenario=scenario)
    env.reset()
    assert legal_uploads(env) == {(0, 0, 1), (1, 0, 2)}


def legal_uploads(env: MigrationEnv) -> set[tuple[int, int, int]]:
    """Return the (user, layer, server) of every legal upload."""
    return {env.episodes.actions.decode(action) for action in np.flatnonzero(env.action_masks()[:-1])}


def test_only_the_rows_that_ended_by_an_illegal_action_say_so():
    env = MigrationVectorEnv(3, make_generator("toy"))
    env.reset(seed=0)
    _, _, ended, _, infos = env.step(np.array([env.encode(1, 1, 1), env.stop_action, env.encode(0, 1, 1)]))
    assert ended.tolist() == [True, True, False]
    assert infos["illegal_action"].tolist() == [True, False, False]
    assert infos["_illegal_action"].tolist() == [True, True, True]


@pytest.mark.parametrize("decisions", MODES)
@pytest.mark.parametrize("family", ["multi-user", "mobile", "city"])
def test_the_plan_is_what_was_decided_and_waiting_is_no_part_of_it(family, decisions):
    rng, waited = np.random.default_rng(4), 0
    env = MigrationEnv(make_generator(family, **SMALL.get(family, {})), decisions=decisions)
    for seed in range(6):
        env.reset(seed=seed)
        uploads, done = [], False
        while not done:
            time_s, placing = env.time_s(), env.pending_layer() is not None
            legal = np.flatnonzero(env.action_masks())
            action = env.stop_action if not placing and rng.random() < 0.15 else rng.choice(legal)
            chosen = env.episodes.actions.decode(action)
            if chosen is not None and not placing:
                user, layer, server = chosen
                # In one lane, what does not begin with a slot follows the upload before it.
                may_have_waited = has_lanes(env.scenario()) or time_s in env.scenario().slot_starts_s
                uploads.append(Upload(user, server, (layer,), time_s if may_have_waited else 0.0))
            waited += chosen is None and not placing
            _, _, done, _, _ = env.step(action)
            assert env.plan() == Plan(tuple(uploads))
        check_plan(env.scenario(), env.plan())  # memory, too, is never exceeded
    assert waited >= 6


@pytest.mark.parametrize("decisions", MODES)
@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("multi-user", {"num_users": (2, 3)}),
        ("mobile", {"num_users": (2, 3), "horizon_s": 15.0}),
        ("city", {"num_users": 3, "num_present": 3, "horizon_s": 10.0}),
    ],
)
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_row_i_of_a_batch_is_the_single_environment_seeded_with_seed_plus_i(family, options, decisions, mode):
    generator = make_generator(family, max_layers=6, **options)
    assert_rows_are_single_environments(generator, mode, decisions=decisions)


def test_without_autoreset_rows_rest_until_they_are_begun_anew():
    env = MigrationVectorEnv(3, make_generator("toy"), autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    upload, stop = env.encode(0, 1, 1), env.stop_action
    _, rewards, ended, _, infos = env.step(np.array([stop, upload, upload]))
    assert ended.tolist() == [True, False, False]
    assert infos["mean_delay_s"][0] == pytest.approx(-rewards[0])
    _, rewards, ended, _, infos = env.step(np.array([stop, stop, env.encode(1, 0, 2)]))
    assert rewards[0] == 0.0
    assert ended.tolist() == [True, True, False]
    env.reset(options={"reset_mask": np.array([True, True, False])})
    assert [env.time_s(row) for row in range(3)] == [0.0, 0.0, pytest.approx(2 + 2 / (1 - 0.1 / 2.9))]
    assert not env.step(np.array([upload, upload, env.encode(0, 0, 1)]))[2].any()


def test_several_rows_begin_with_the_same_scenario():
    generator = make_generator("edge-cloud", max_layers=6)
    env = MigrationVectorEnv(4, generator, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    env.step(np.full(4, env.stop_action))  # all episodes have ended
    batches = [generator.draw(np.random.default_rng(seed), 2) for seed in (1, 2)]
    chosen = [batches[0].scenario(0)] * 2 + [batches[1].scenario(0)] * 2
    begun = env.begin(batches)
    expected, _ = MigrationVectorEnv(4, generator).reset(options={"scenarios": chosen})
    for name in expected:
        np.testing.assert_array_equal(begun[name], expected[name])
    assert (begun["observation"][0] != begun["observation"][2]).any()
    _, rewards, ended, _, _ = env.step(np.full(4, env.stop_action))
    assert ended.all() and (rewards < 0).all()


def test_what_will_be_is_not_observed():
    """Scenarios that differ only after a slot look the same until that slot begins."""
    given = scenarios("mobile", 4, seed=9)
    for scenario in given:
        slot = scenario.num_slots // 2
        links, users = scenario.links, scenario.users
        up = np.array(links.up_bytes_per_s)
        up[slot:] *= 0.25
        changed = replace(
            scenario,
            links=replace(links, up_bytes_per_s=up, down_bytes_per_s=up),
            users=tuple(replace(user, query_rate_hz=_later_changed(user.query_rate_hz, slot)) for user in users),
        )
        until = float(scenario.slot_starts_s[slot])
        one, other = MigrationEnv(make_generator("mobile")), MigrationEnv(make_generator("mobile"))
        first, _ = one.reset(options={"scenario": scenario})
        second, _ = other.reset(options={"scenario": changed})
        rng, compared, done = np.random.default_rng(0), 0, False
        while not done and one.time_s() < until:
            assert np.array_equal(first["observation"], second["observation"])
            assert np.array_equal(first["action_mask"], second["action_mask"])
            compared += 1
            action = rng.choice(np.flatnonzero(first["action_mask"]))
            first, _, done, _, _ = one.step(action)
            second, _, ended, _, _ = other.step(action)
        assert compared > 3
        while not (done or ended):  # and the change does show afterwards
            first, _, done, _, _ = one.step(one.stop_action)
            second, _, ended, _, _ = other.step(other.stop_action)
            if not np.array_equal(first["observation"], second["observation"]):
                break
        assert not np.array_equal(first["observation"], second["observation"])


def _later_changed(rates, slot: int):
    rates = np.array(rates)
    rates[slot:] += 0.5
    return rates


def test_stop_waits_for_the_next_slot_and_ends_the_last_one():
    (scenario,) = scenarios("mobile", 1, seed=0)
    away = np.arange(scenario.num_slots) == 3  # nobody is there to decide for
    users = tuple(replace(user, query_rate_hz=np.where(away, 0.0, user.query_rate_hz)) for user in scenario.users)
    env = MigrationEnv(make_generator("mobile"))
    env.reset(options={"scenario": replace(scenario, users=users)})
    for start in np.delete(scenario.slot_starts_s, [0, 3]):
        _, _, done, _, _ = env.step(env.stop_action)
        assert not done
        assert env.time_s() == start
    env = MigrationEnv(make_generator("toy"))
    env.reset()
    assert env.step(env.stop_action)[2]


@pytest.mark.parametrize("name", ENVIRONMENT_IDS.values())
@pytest.mark.parametrize("decisions", MODES)
def test_both_environment_checkers_pass_without_a_warning(name, decisions):
    env = gymnasium.make(name, decisions=decisions, disable_env_checker=True).unwrapped
    check_gymnasium_env(env, skip_render_check=True)
    check_sb3_env(env)


@pytest.mark.parametrize("name", ENVIRONMENT_IDS.values())
def test_every_observation_lies_in_its_space_and_environments_pickle(name):
    env = gymnasium.make(name).unwrapped
    _, _, seen = rollout(env, np.random.default_rng(0), seed=4)
    assert all(env.observation_space.contains(observation) for observation in seen)
    again = pickle.loads(pickle.dumps(env))
    _, _, repeated = rollout(again, np.random.default_rng(0), seed=4)
    assert all(np.array_equal(a["observation"], b["observation"]) for a, b in zip(seen, repeated, strict=True))


def test_the_same_seed_gives_the_same_episodes_and_another_seed_others():
    env = gymnasium.make("dnnmig/MultiUser-v0").unwrapped
    first = [env.reset(seed=1)[0]["observation"], env.reset()[0]["observation"]]
    second = [env.reset(seed=1)[0]["observation"], env.reset()[0]["observation"]]
    other = env.reset(seed=2)[0]["observation"]
    assert np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other)


def test_make_vec_gives_the_native_batch():
    env = gymnasium.make_vec("dnnmig/EdgeCloud-v0", num_envs=3, decisions="two-phase")
    assert isinstance(env.unwrapped, MigrationVectorEnv)
    observations, _ = env.reset(seed=0)
    assert env.observation_space.contains(observations)


def test_options_go_to_the_environment_or_to_the_generator():
    env = make_vector_env("multi-user", 2, autoreset_mode="SameStep", reward="shaped", num_users=3)
    assert env.autoreset_mode is AutoresetMode.SAME_STEP
    assert env.episodes.generator == make_generator("multi-user", num_users=3)
    generator = make_generator("toy")
    assert make_env("toy", generator=generator, decisions="two-phase").episodes.generator is generator
    with pytest.raises(ValueError, match="'num_users' was given beside a generator; set it in the generator instead"):
        make_env("multi-user", generator=generator, num_users=3)


@pytest.mark.parametrize("mode", ["rgb_array", "ansi"])
def test_an_episode_renders(mode):
    env = gymnasium.make("dnnmig/Toy-v0", render_mode=mode)
    env.reset(seed=0)
    env.step(env.unwrapped.encode(0, 0, 1))
    drawn = env.render()
    if mode == "ansi":
        assert "head" in drawn
    else:
        assert drawn.ndim == 3
        assert drawn.dtype == np.uint8
        assert drawn.std() > 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decisions": "both"}, "decisions is 'both'; choose one of joint, two-phase"),
        ({"reward": "big"}, "reward is 'big'; choose one of delay, shaped"),
        ({"scale": "hours"}, "scale is 'hours'; choose one of seconds, device-only"),
        ({"illegal": "ignore"}, "illegal is 'ignore'; choose one of end, repair"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        gymnasium.make("dnnmig/MultiUser-v0", disable_env_checker=True, **options)


def test_a_scenario_that_does_not_fit_is_refused_with_its_numbers():
    env = gymnasium.make("dnnmig/Toy-v0").unwrapped
    (large,) = scenarios("multi-user", 1, seed=0)
    with pytest.raises(ValueError, match=r"scenario needs \d+ users, this environment holds at most 2"):
        env.reset(options={"scenario": large})
    with pytest.raises(ValueError, match="unknown key 'scenarios'"):
        env.reset(options={"scenarios": [large]})


def test_the_known_scenario_has_the_present_only():
    (scenario,) = scenarios("mobile", 1, seed=3)
    env = MigrationEnv(make_generator("mobile"))
    env.reset(options={"scenario": scenario})
    rng = np.random.default_rng(1)
    for _ in range(6):
        env.step(rng.choice(np.flatnonzero(env.action_masks())))
        known = env.known_scenario()
        if known is None:
            break
        slot = int(np.searchsorted(scenario.slot_starts_s, env.time_s(), side="right")) - 1
        assert known.num_slots == 1
        assert known.horizon_s == pytest.approx(scenario.horizon_s - env.time_s())
        rates = [float(np.asarray(user.query_rate_hz)[slot]) for user in scenario.users]
        assert [float(np.asarray(user.query_rate_hz)[0]) for user in known.users] == rates
        sent = {(upload.user, upload.layers[0], upload.server) for upload in env.plan().uploads}
        for u, member in enumerate(known.users):
            for layer, server in enumerate(np.asarray(member.uploaded).tolist()):
                assert server == 0 or (u, layer, server) in sent
    assert isinstance(known, Scenario)
