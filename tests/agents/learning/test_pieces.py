"""Batches in pieces: the gradient of the whole batch, the same bit for bit whatever the number of threads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from agents.learning import pieces
from dnnmig_env.compiling.threads import at_most_threads

CPU = torch.device("cpu")


class Network(nn.Module):
    """A network with a part that is trained, one that is not, and one that the loss does not depend on."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trained, self.fixed, self.idle = nn.Linear(5, 3), nn.Linear(3, 1), nn.Linear(2, 2)
        self.fixed.requires_grad_(requires_grad=False)

    def forward(self, seen: Tensor) -> Tensor:
        result: Tensor = self.fixed(torch.tanh(self.trained(seen)))
        return result


def gradients(network: Network, rows: Tensor, seen: Tensor) -> list[int]:
    """Let the network learn from the sum of squares of what it says about some rows; return the sizes of the pieces."""

    def loss_of(at: Tensor) -> tuple[Tensor, int]:
        return network(seen[at]).square().sum(), len(at)

    return pieces.learn_from(network.parameters(), rows, CPU, loss_of)


@pytest.mark.parametrize("count", [1, 128, 129, 300])
def test_the_gradient_is_that_of_the_whole_batch_whatever_was_there_before(count: int) -> None:
    seen, network = torch.randn(400, 5), Network()
    rows = torch.randperm(400)[:count]
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    sizes = gradients(network, rows, seen)
    assert sizes == [128] * (count // 128) + [count % 128] * (count % 128 > 0)
    whole = torch.autograd.grad(network(seen[rows]).square().sum(), list(network.trained.parameters()))
    for parameter, expected in zip(network.trained.parameters(), whole, strict=True):
        torch.testing.assert_close(parameter.grad, expected)
    assert all(parameter.grad is None for parameter in network.idle.parameters())
    assert all(bool((parameter.grad == 1.0).all()) for parameter in network.fixed.parameters())  # type: ignore[union-attr]


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dnnmig_env.compiling.threads.MOST_THREADS", 3)
    torch.set_num_threads(1)
    seen, found = 100.0 * torch.randn(1000, 5), []
    for threads in (1, 2, 3):
        network = Network()
        with at_most_threads(threads):
            gradients(network, torch.arange(1000), seen)
        found.append([parameter.grad for parameter in network.trained.parameters()])
    for one, two, three in zip(*found, strict=True):
        assert torch.equal(one, two)  # type: ignore[arg-type]
        assert torch.equal(one, three)  # type: ignore[arg-type]


def test_threads_of_torch_are_not_started_by_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[int] = []
    monkeypatch.setattr(pieces, "results_of", lambda _, items: shared.append(len(items)) or [])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert pieces.in_pieces(torch.arange(200), CPU, len) == [128, 72]
    assert shared == []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert pieces.in_pieces(torch.arange(200), CPU, len) == []
    assert shared == [2]
