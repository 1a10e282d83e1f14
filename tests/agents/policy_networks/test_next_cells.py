"""Where users go next is said of every server alike, and what is known of it does not change while policies learn."""

import pytest
import torch

from agents.policy_networks.facts import FactsNetwork
from agents.policy_networks.next_cells import NEXT_CELL_FEATURES, OUTPUTS, NextCells
from agents.policy_networks.whole import GEOMETRY, geometry
from dnnmig_env.envs.facts.layout import FactsLayout

USERS, SERVERS = 6, 4


@pytest.fixture
def seen():
    """Courses, places, home cells, and which servers there are: all but the last."""
    generator = torch.Generator().manual_seed(0)
    courses = torch.rand((USERS, 4), generator=generator) - 0.5
    places = (torch.rand((SERVERS, 2), generator=generator) - 0.5).expand(USERS, SERVERS, 2)
    home = torch.nn.functional.one_hot(torch.arange(USERS) % (SERVERS - 1), SERVERS).float()
    exists = (torch.arange(SERVERS) < SERVERS - 1).expand(USERS, SERVERS)
    return courses, places, home, exists


def network():
    torch.manual_seed(1)
    return NextCells(GEOMETRY)


def predicted(of, courses, places, home, exists):
    return of(courses, places, home, torch.stack(geometry(courses, places, home), dim=-1), exists)


def test_probabilities_of_all_cells_and_of_none_add_up_to_one(seen):
    probabilities = predicted(network(), *seen).exp()
    assert probabilities.shape == (USERS, OUTPUTS, SERVERS + 1)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(USERS, OUTPUTS))
    assert (probabilities[..., SERVERS - 1] == 0).all()  # no such server
    assert (probabilities[..., [0, 1, 2, 4]] > 0).all()


def test_servers_that_change_places_change_probabilities(seen):
    courses, places, home, exists = seen
    order = [2, 0, 3, 1]
    before = predicted(network(), *seen)
    after = predicted(network(), courses, places[:, order], home[:, order], exists[:, order])
    torch.testing.assert_close(after[..., :-1], before[..., :-1][..., order])
    torch.testing.assert_close(after[..., -1], before[..., -1])


def test_users_are_predicted_one_by_one(seen):
    together = predicted(network(), *seen)
    for user in range(USERS):
        alone = predicted(network(), *(part[user : user + 1] for part in seen))
        torch.testing.assert_close(alone[0], together[user])


@pytest.mark.parametrize("part", range(7))
def test_each_thing_that_is_known_matters_by_itself(seen, part):
    courses, places, home, exists = (each.clone() for each in seen)
    going = torch.stack(geometry(courses, places, home), dim=-1)
    of = network()
    before = of(courses, places, home, going, exists)
    if part < 4:
        courses[:, part] += 0.1  # positions and velocities, though they change nothing relative to servers here
    elif part == 4:
        places = places + 0.1
    elif part == 5:
        home = home.roll(1, dims=1)
    else:
        going = going + 0.1
    after = of(courses, places, home, going, exists)
    assert ((after.exp() - before.exp()).abs().amax((1, 2)) > 1e-5).sum() >= USERS - 1


def test_features_are_probabilities_by_hand():
    following, later = torch.tensor([0.2, 0.5, 0.0, 0.3]), torch.tensor([0.6, 0.1, 0.2, 0.1])
    features = network().features(torch.stack([following, later]).log().unsqueeze(0))
    assert features.shape == (1, 3, NEXT_CELL_FEATURES)
    torch.testing.assert_close(features[0], torch.tensor([[0.2, 0.4, 0.6], [0.5, 1.0, 0.1], [0.0, 0.0, 0.2]]))


def test_what_a_policy_learns_from_does_not_change_where_users_are_said_to_go():
    layout = FactsLayout(users=2, layers=3, servers=3, edges=2, lanes=True)
    torch.manual_seed(0)
    of_policy = FactsNetwork(layout, 8, 8)
    observation, mask = torch.rand(5, layout.size), torch.ones(5, 2 * 3 * 3 + 1)
    scores, values = of_policy(observation, mask)
    (scores.logsumexp(1).sum() + values.sum()).backward()
    assert all(weight.grad is None for weight in of_policy.next_cells.parameters())
    assert of_policy.link.weight.grad[:, -NEXT_CELL_FEATURES:].abs().amax(0).min() > 0  # but it is looked at
    assert not hasattr(FactsNetwork(FactsLayout(2, 3, 3), 8, 8), "next_cells")
