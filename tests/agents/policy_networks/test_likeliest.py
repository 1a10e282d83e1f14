"""The likeliest decision, with one lane and with several, by hand."""

import pytest
import torch

from agents.policy_networks.likeliest import likeliest


@pytest.mark.parametrize(
    ("probabilities", "one_lane", "lanes"),
    [
        ([0.3, 0.3, 0.0, 0.4], 3, 0),  # to send is likelier than to stop, though no single upload is
        ([0.25, 0.3, 0.0, 0.45], 3, 1),
        ([0.1, 0.3, 0.0, 0.6], 3, 3),
        ([0.1, 0.7, 0.0, 0.2], 1, 1),
        ([0.0, 0.0, 0.0, 1.0], 3, 3),
    ],
)
def test_with_several_lanes_it_is_asked_first_whether_anything_is_sent(probabilities, one_lane, lanes):
    scores = torch.tensor([probabilities, probabilities]).clamp(min=1e-9).log() + torch.tensor([[0.0], [5.0]])
    assert likeliest(scores, lanes=False).tolist() == [one_lane, one_lane]
    assert likeliest(scores, lanes=True).tolist() == [lanes, lanes]


def test_where_nothing_is_legal_it_stops():
    scores = torch.tensor([[-1e8, -1e8, -0.5e8]])  # as `FactsNetwork` scores an empty mask
    assert likeliest(scores, lanes=True).tolist() == likeliest(scores, lanes=False).tolist() == [2]
