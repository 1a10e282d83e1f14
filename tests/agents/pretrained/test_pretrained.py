"""Every agent that comes with the project is what its card says it is."""

import hashlib
import json

import pytest

from agents.policies.trained import read_card
from agents.pretrained import FOLDER, pretrained_families, pretrained_file, read_agent_card
from evaluate.publish.config import PublishConfig
from evaluate.publish.publish import check_delay_s, publish
from train.config import HeldOutConfig, TrainConfig
from train.run import train

MOST_BYTES = 1_000_000


def check_agent(family, folder):
    card, file = read_agent_card(family, folder), pretrained_file(family, folder)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == card.sha256
    model = read_card(file)
    assert (model.family, model.algorithm, model.decisions) == (family, card.algorithm, card.decisions)
    assert (card.family, model.steps) == (family, card.steps)
    assert file.stat().st_size < MOST_BYTES
    found_s = check_delay_s(file, card.check.scenarios, card.check.seed)
    assert found_s == pytest.approx(card.check.mean_delay_s, rel=1e-6)


@pytest.mark.parametrize("family", pretrained_families())
def test_an_agent_does_as_its_card_says(family):
    check_agent(family, FOLDER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    held_out = HeldOutConfig(scenarios=2, every=256, baselines=())
    train(TrainConfig("toy", total_steps=256, num_envs=16, out=root / "run", held_out=held_out))
    publish(PublishConfig(root / "run", out=root / "agents", scenarios=3, policies="device-only"))
    return root / "agents"


def test_a_newly_published_agent_does_so_too(folder):
    assert pretrained_families(folder) == ["toy"]
    check_agent("toy", folder)


def test_damaged_and_missing_cards_are_named(folder, tmp_path):
    (tmp_path / "toy.zip").write_bytes((folder / "toy.zip").read_bytes())
    with pytest.raises(ValueError, match=r"toy\.json is missing; publish the agent again"):
        read_agent_card("toy", tmp_path)
    content = json.loads((folder / "toy.json").read_text())
    damaged = {
        "the start": "{",
        "check.mean_delay_s": json.dumps({**content, "check": {**content["check"], "mean_delay_s": -1.0}}),
        "check.scenarios": json.dumps({**content, "check": {**content["check"], "scenarios": 0}}),
        "seed": json.dumps({**content, "seed": -1}),
        "mood": json.dumps({**content, "mood": "good"}),
        "sha256": json.dumps({**content, "sha256": "abc"}),
    }
    endless = json.dumps({**content, "check": {**content["check"], "mean_delay_s": "@"}}).replace('"@"', "1e999")
    for place, text in [*damaged.items(), ("check.mean_delay_s", endless)]:
        (tmp_path / "toy.json").write_text(text)
        with pytest.raises(ValueError, match=f"damaged at {place}: ") as caught:
            read_agent_card("toy", tmp_path)
        assert "\n" not in str(caught.value)


def test_a_family_without_an_agent_is_told_which_have_one(folder, tmp_path):
    with pytest.raises(ValueError, match="no pretrained agent for family 'mobile'; there are: toy"):
        pretrained_file("mobile", folder)
    with pytest.raises(ValueError, match="there are: none yet"):
        pretrained_file("mobile", tmp_path)


def test_families_are_told_in_the_order_of_the_alphabet(tmp_path):
    for name in "hagdbfce":
        (tmp_path / f"{name}.zip").touch()
        (tmp_path / f"{name}.json").touch()
    assert pretrained_families(tmp_path) == list("abcdefgh")
