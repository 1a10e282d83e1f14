"""The charts of TensorBoard: event files are read back and compared with the other files of the run."""

import csv
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

import train.callbacks
from agents.planners.joint_efficiency.joint_efficiency import joint_efficiency
from agents.policies.plan_policy import PlanPolicy
from agents.policies.policy import resolve_policy
from agents.policies.trained import MODEL, load
from dnnmig_env.families.registry import make_generator
from dnnmig_env.simulation.simulator import simulate
from tests.overriding import overriding
from tests.tiny_training import TINY
from train.__main__ import main
from train.baselines import _folder
from train.charts import BEST, DELAY, PLAN, RATIO, SHARE, SPEED, mean_ratio
from train.gantt import gantt
from train.held_out import HeldOut

TINY = [*TINY, "--settings", "n_steps=32", "--held-out.every", "256", "--total-steps", "768"]
TINY += ["--held-out.baselines", "all-to-1", "device-only", "joint-efficiency"]


def run(folder, *arguments):
    return main(overriding(TINY, "--out", str(folder), *arguments))


def events(folder):
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    return found


def points(folder, name, tag):
    # By step: event files begun in the same second, as only a test does, are read in the order of their names.
    scalars = sorted(events(folder / "tensorboard" / name).Scalars(tag), key=lambda event: event.step)
    return [event.step for event in scalars], np.array([event.value for event in scalars])


def table(folder):
    with (folder / "held_out.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [int(row["step"]) for row in rows], {
        name: np.array([float(row[name]) for row in rows]) for name in ("mean_delay_s", "share_of_device_only")
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    assert run(folder) == 0
    return folder


def test_the_delay_is_the_first_chart_and_the_plan_stands_beside_it(finished):
    tags = events(finished / "tensorboard" / "ppo").Tags()
    first = sorted(tags["scalars"] + tags["images"])[:4]
    assert first == [DELAY, PLAN, RATIO, SHARE]
    assert tags["images"] == [PLAN]


def test_curves_hold_what_the_table_holds(finished):
    steps, columns = table(finished)
    assert steps == [0, 256, 512, 768]
    for tag, column in ((DELAY, "mean_delay_s"), (SHARE, "share_of_device_only")):
        at, values = points(finished, "ppo", tag)
        assert at == steps
        np.testing.assert_allclose(values, columns[column], rtol=1e-6)
    at, values = points(finished, "ppo", BEST)
    assert at == steps
    np.testing.assert_allclose(values, np.minimum.accumulate(columns["mean_delay_s"]), rtol=1e-6)


def test_every_baseline_is_a_line_in_the_same_charts(finished):
    lines = json.loads((finished / "baselines.json").read_text())
    assert set(lines) == {"all-to-1", "device-only", "joint-efficiency"}
    for name, line in lines.items():
        ratio = np.mean(np.array(line["delays_s"]) / np.array(lines["joint-efficiency"]["delays_s"]))
        assert np.mean(line["delays_s"]) == pytest.approx(line["mean_delay_s"])
        for tag, value in ((DELAY, line["mean_delay_s"]), (SHARE, line["share_of_device_only"]), (RATIO, ratio)):
            at, values = points(finished, name, tag)
            assert at == [0, 768]
            np.testing.assert_allclose(values, value, rtol=1e-6)
    assert points(finished, "joint-efficiency", RATIO)[1].tolist() == [1.0, 1.0]


def test_a_ratio_is_the_mean_of_the_scenarios_ratios():
    # 1 s against 2 s and 30 s against 20 s: (0.5 + 1.5) / 2, whereas the means give 31 / 22.
    assert mean_ratio(np.array([1.0, 30.0]), np.array([2.0, 20.0])) == 1.0


def test_the_ratio_is_that_of_the_model_in_the_held_out_scenarios(tmp_path):
    arguments = ["--family", "single", "--held-out.scenarios", "3", "--total-steps", "256"]
    assert run(tmp_path / "run", *arguments, "--held-out.baselines", "joint-efficiency") == 0
    held_out = HeldOut(make_generator("single"), "joint", 3)
    own_s = held_out.play(load(tmp_path / "run" / MODEL, held_out.env)).policy_s
    its_s = held_out.play(resolve_policy("joint-efficiency", held_out.env, 0, "single")).policy_s
    by_hand = sum(own / its for own, its in zip(own_s, its_s, strict=True)) / 3
    assert by_hand != pytest.approx(own_s.mean() / its_s.mean())
    at, values = points(tmp_path / "run", "ppo", RATIO)
    assert (at[-1], values[-1]) == (256, pytest.approx(by_hand))


def test_without_joint_efficiency_there_is_no_ratio(tmp_path):
    assert run(tmp_path / "run", "--total-steps", "128", "--held-out.baselines", "device-only") == 0
    for name in ("ppo", "device-only"):
        assert RATIO not in events(tmp_path / "run" / "tensorboard" / name).Tags()["scalars"]


def test_the_plan_is_drawn_at_every_measurement(finished):
    images = events(finished / "tensorboard" / "ppo").Images(PLAN)
    assert [image.step for image in images] == [0, 256, 512, 768]
    held_out = HeldOut(make_generator("toy"), "joint", 2)
    delays = held_out.play(load(finished / MODEL, held_out.env))
    drawn = np.asarray(Image.open(io.BytesIO(images[-1].encoded_image_string)))
    np.testing.assert_array_equal(drawn, gantt(simulate(held_out.scenarios[0], delays.first_plan)))


@pytest.mark.parametrize("family", ["toy", "multi-user", "mobile"])
@pytest.mark.parametrize("decisions", ["joint", "two-phase"])
def test_the_first_plan_is_that_of_the_first_scenario(family, decisions):
    held_out = HeldOut(make_generator(family), decisions, 3)
    delays = held_out.play(resolve_policy("joint-efficiency", held_out.env, 0, family))
    timeline = simulate(held_out.scenarios[0], delays.first_plan)
    assert delays.first_plan.num_layers > 0
    assert timeline.mean_delay_s == pytest.approx(delays.policy_s[0])
    assert timeline.mean_device_delay_s == pytest.approx(delays.device_only_s[0])


def test_each_held_out_scenario_is_planned_once_and_in_each_measurement_alike():
    held_out, planned = HeldOut(make_generator("edge-cloud"), "joint", 4), []

    def counted(scenario, rng):
        planned.append(scenario)
        return joint_efficiency(scenario, rng)

    policy = PlanPolicy(counted, held_out.env, 0)
    delays = [held_out.play(policy).policy_s.tolist() for _ in range(2)]
    assert len(planned) == 8 and delays[0] == delays[1]


def test_a_baseline_does_not_depend_on_those_played_before_it():
    name, delays = "pso-ga:swarm=4:iterations=2+lmu", []
    for before in ([], ["device-only"]):
        held_out = HeldOut(make_generator("edge-cloud"), "joint", 4)
        for one in [*before, name]:
            played = held_out.play(resolve_policy(one, held_out.env, 0))
        delays.append(played.policy_s.tolist())
    assert delays[0] == delays[1]


def test_hyperparameters_are_a_row_of_the_run_itself(finished):
    found = events(finished / "tensorboard" / "ppo").SummaryMetadata
    start = metadata.parse_session_start_info_plugin_data(found(metadata.SESSION_START_INFO_TAG).plugin_data.content)
    values = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    assert (values["family"], values["algorithm"], values["seed"], values["num_envs"]) == ("toy", "ppo", 0, 4)
    assert (values["n_steps"], values["width"], values["context"], values["gamma"]) == (32, 32, 64, 1.0)
    assert values["learning_rate"] > 0
    assert not {"out", "resume", "device", "held_out", "settings", "network"} & set(values)
    with pytest.raises(KeyError):  # columns are those of all runs
        found(metadata.EXPERIMENT_TAG)
    assert {path.name for path in (finished / "tensorboard").iterdir()} == {
        "ppo", "all-to-1", "device-only", "joint-efficiency"
    }  # fmt: skip


def test_a_resumed_run_goes_on_in_its_curves_and_adds_no_point_twice(tmp_path):
    folder = tmp_path / "run"
    assert run(folder, "--total-steps", "256") == 0
    assert main(["--resume", str(folder), "--total-steps", "640"]) == 0
    steps, columns = table(folder)
    assert steps == [0, 256, 512, 640]
    for tag in (DELAY, SHARE, RATIO, BEST):
        assert points(folder, "ppo", tag)[0] == steps
    np.testing.assert_allclose(points(folder, "ppo", DELAY)[1], columns["mean_delay_s"], rtol=1e-6)
    assert sorted(image.step for image in events(folder / "tensorboard" / "ppo").Images(PLAN)) == steps
    assert points(folder, "ppo", SPEED)[0] == [256, 512, 640]
    for tag in (DELAY, SHARE, RATIO):
        assert points(folder, "joint-efficiency", tag)[0] == [0, 256, 640]


def test_baselines_of_a_former_version_are_played_again_for_their_ratios(tmp_path):
    folder = tmp_path / "run"
    assert run(folder, "--total-steps", "128") == 0
    lines = json.loads((folder / "baselines.json").read_text())
    former = {name: {key: line[key] for key in line if key != "delays_s"} for name, line in lines.items()}
    (folder / "baselines.json").write_text(json.dumps(former))
    assert main(["--resume", str(folder), "--total-steps", "256"]) == 0
    again = json.loads((folder / "baselines.json").read_text())
    assert {name: line["delays_s"] for name, line in again.items()} == {
        name: line["delays_s"] for name, line in lines.items()
    }
    assert points(folder, "joint-efficiency", DELAY)[0] == [0, 128, 256]


def test_decisions_per_second_count_no_time_of_measurements_and_pauses_between_runs(monkeypatch):
    # The clock as it is read: training begins at 10 s and has taken 100 decisions at 14 s. The measurement takes until
    # 34 s; the next 50 decisions take until 39 s.
    clock = iter([10.0, 14.0, 34.0, 39.0, 59.0])
    monkeypatch.setattr(train.callbacks.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(train.callbacks, "replace_text", lambda *_: None)
    written = []
    monkeypatch.setattr(train.callbacks, "add", lambda _, charts, step: written.append((step, charts.get(SPEED))))
    monkeypatch.setattr(train.callbacks, "picture", lambda *_: None)
    delays = SimpleNamespace(mean_s=1.0, share_of_device_only=0.5, policy_s=np.ones(1), first_plan=None)
    held_out = SimpleNamespace(play=lambda *_: delays, scenarios=[None])
    monkeypatch.setattr(train.callbacks, "read_points", lambda _: [(1000, 1.0, 1.0)])
    curve = train.callbacks.LearningCurve(held_out, 50, None, None, None, lambda _: None)
    curve.model = SimpleNamespace(logger=SimpleNamespace(output_formats=[]), predict=lambda: None)
    curve.num_timesteps = 1000
    curve._on_training_start()
    curve.num_timesteps = 1100
    curve.measure()
    curve.num_timesteps = 1150
    curve.measure()
    assert written == [(1100, 100 / 4), (1150, 50 / 5)]


def test_a_baseline_whose_name_is_too_long_for_a_folder_has_the_end_of_it():
    assert _folder("./runs/quick/") == "._runs_quick"
    assert len(_folder("runs/" + "x" * 300 + "/best")) < 255 and _folder("x" * 300 + "/best").endswith("x_best")
