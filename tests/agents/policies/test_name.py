"""Names of policies: what each means, whatever lies in the working directory."""

from pathlib import Path

import pytest

from agents.policies.name import (
    ModelName,
    OwnName,
    PlannerName,
    RandomName,
    UntrainedName,
    parse_policy_name,
    replanning,
)
from agents.policies.policy import check_policy_name, resolve_policy
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator

TOY = make_generator("toy")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("random", RandomName()),
        ("untrained", UntrainedName()),
        ("efficiency", PlannerName("efficiency")),
        ("pso-ga:swarm=50+lmu", PlannerName("pso-ga:swarm=50+lmu")),
        ("joint-efficiency@replan", PlannerName("joint-efficiency", "replan")),
        ("joint-efficiency@forecast", PlannerName("joint-efficiency", "forecast")),
        ("exact:tolerance=0.01@clairvoyant", PlannerName("exact:tolerance=0.01", "clairvoyant")),
        ("pretrained", ModelName("pretrained")),
        ("pretrained@64", ModelName("pretrained", 64)),
        ("pretrained@64@replan", ModelName("pretrained", 64, replan=True)),
        ("runs/quick", ModelName("runs/quick")),
        ("./quick", ModelName("./quick")),
        ("model.zip@8", ModelName("model.zip", 8)),
        ("runs/quick@8@replan", ModelName("runs/quick", 8, replan=True)),
        ("runs/a+b", ModelName("runs/a+b")),
        ("runs/a@b/c", ModelName("runs/a@b/c")),
        ("run@v2.zip", ModelName("run@v2.zip")),
        ("mine:plan", OwnName("mine:plan")),
        ("my_package.my_module:Outer.plan@replan", OwnName("my_package.my_module:Outer.plan", "replan")),
        ("mine:Planner:depth=3@forecast", OwnName("mine:Planner:depth=3", "forecast")),
        ("mine:MyPPO@runs/a@b/model.zip", OwnName("mine:MyPPO", model="runs/a@b/model.zip")),
        ("ionn:penalty=0.8", PlannerName("ionn:penalty=0.8")),
    ],
)
def test_what_a_name_means(text: str, meaning: object) -> None:
    assert parse_policy_name(text) == meaning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("joint-efficiency@8", "only trained models are sampled; write 'joint-efficiency'"),
        ("random@8", "only trained models are sampled"),
        ("pretrained@0", "asks for 0 samples; give 1 or more, such as 'pretrained@64'"),
        ("runs/quick@-1", "asks for -1 samples"),
        ("pretrained@replan", "a model decides anew each time; leave out @replan"),
        ("model.zip@clairvoyant", "a model decides anew each time; leave out @clairvoyant"),
        ("pretrained@8@forecast", "@forecast is for planners; leave it out, or write @replan"),
        (
            "pretrained@x",
            "ends in '@x', which means nothing; planners take @replan, @forecast, @markov, @perdnn",
        ),
        ("joint-efficiency@replann", "ends in '@replann', which means nothing"),
        ("joint-efficiency@", "ends in '@', which means nothing"),
        ("joint-efficiency@replan@replan", "ends in '@replan', which means nothing"),
        ("pretrained@x@replan", "ends in '@x', which means nothing"),
        ("runs/quick@x", "ends in '@x', which means nothing"),
        ("random@replan", "random decides anew each time; leave out @replan"),
        ("mine:plan@64", "ends in '@64', which means nothing; planners take @replan"),
        ("mine:plan@", "ends in '@', which means nothing"),
    ],
)
def test_a_suffix_that_does_not_go_with_a_name_is_explained(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_policy_name(text)


def test_a_folder_called_like_a_planner_does_not_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("efficiency", "random", "pretrained", "joint-efficiency@replan"):
        (tmp_path / name).mkdir()
        assert parse_policy_name(name) == parse_policy_name(name)
        assert not isinstance(parse_policy_name(name), ModelName) or name == "pretrained"
    assert parse_policy_name("efficiency") == PlannerName("efficiency")
    check_policy_name("efficiency", TOY)
    env = MigrationVectorEnv(1, make_generator("toy"))
    observations, _ = env.reset(seed=0)
    assert observations["action_mask"][0, resolve_policy("efficiency", env, 0).predict(observations)[0][0]]


def test_a_folder_that_is_no_planner_is_pointed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick").mkdir()
    with pytest.raises(ValueError, match=r"unknown planner 'quick'.* write './quick'"):
        check_policy_name("quick", TOY)
    with pytest.raises(ValueError, match=r"holds no best_model\.zip"):
        check_policy_name("./quick", TOY)


def test_only_some_planners_can_know_what_is_to_come() -> None:
    with pytest.raises(ValueError, match=r"'joint-efficiency' cannot know the slots to come; @clairvoyant is"):
        check_policy_name("joint-efficiency@clairvoyant", TOY)
    with pytest.raises(ValueError, match=r"'joint-efficiency' has no parameter 'clairvoyant'; it has no parameters"):
        check_policy_name("joint-efficiency:clairvoyant=true", TOY)
    with pytest.raises(ValueError, match=r"'pso-ga' has no parameter 'swarms'; its parameters are swarm"):
        check_policy_name("pso-ga:swarms=3+lmu", TOY)
    check_policy_name("exact:tolerance=0.01@clairvoyant", TOY)


def test_a_path_may_have_an_at_sign_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "run@8"
    assert parse_policy_name(str(folder)) == ModelName(str(tmp_path / "run"), 8)
    folder.mkdir()
    assert parse_policy_name(str(folder)) == ModelName(str(folder))


def test_pretrained_needs_a_family() -> None:
    assert ModelName("runs/quick").path(None) == Path("runs/quick")
    assert ModelName("pretrained").path("single").name == "single.zip"
    with pytest.raises(ValueError, match="say which family"):
        ModelName("pretrained").path(None)


def test_whatever_plans_can_replan() -> None:
    assert replanning(PlannerName("lmu")) == PlannerName("lmu", "replan")
    for view in ("replan", "forecast", "clairvoyant"):  # says itself when it plans
        assert replanning(PlannerName("lmu", view)) == PlannerName("lmu", view)
    assert replanning(ModelName("pretrained", 8)) == ModelName("pretrained", 8, replan=True)
    assert replanning(ModelName("pretrained")) == ModelName("pretrained")  # it decides anew anyway
    assert replanning(RandomName()) == RandomName()
    assert replanning(UntrainedName()) == UntrainedName()
    assert replanning(OwnName("mine:plan")) == OwnName("mine:plan", "replan")
    assert replanning(OwnName("mine:MyPPO", model="a.zip")) == OwnName("mine:MyPPO", model="a.zip")
