"""Recurrent layers, each one operator with the products of all its steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils._pytree import tree_leaves

from dnnmig_env.networks.profiling.measure import Effort, measure
from dnnmig_env.networks.tracing import InputSpec, trace
from dnnmig_env.networks.tracing.whole_calls import whole_calls

QUICK = Effort(repeats=1, warm_up=0, rounds=1)
STEPS, BATCH, SIZE, HIDDEN = 5, 2, 3, 4


class Outputs(nn.Module):
    """A recurrent module of which only the outputs of the steps are used."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.rnn = cell

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.rnn(x)[0]
        return outputs


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"bidirectional": True}, {"bias": False}])
def test_each_layer_is_one_operator(kind: Any, gates: int, options: dict[str, Any]) -> None:
    module = Outputs(kind(SIZE, HIDDEN, num_layers=2, **options))
    shape = (BATCH, STEPS, SIZE) if options.get("batch_first") else (STEPS, BATCH, SIZE)
    graph = trace(module, shape)
    directions = 1 + bool(options.get("bidirectional"))
    products = [directions * gates * HIDDEN * (size + HIDDEN) for size in (SIZE, directions * HIDDEN)]
    biases = directions * 2 * gates * HIDDEN * options.get("bias", True)
    assert [(layer.name, layer.predecessors) for layer in graph.layers] == [("rnn", (-1,)), ("rnn#2", (0,))]
    assert graph.flops.tolist() == [2 * STEPS * BATCH * count for count in products]
    assert graph.weight_bytes.tolist() == [4 * (count + biases) for count in products]
    assert graph.output_bytes.tolist() == [4 * STEPS * BATCH * directions * HIDDEN] * 2
    assert measure(module, shape, effort=QUICK).is_of(graph)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("options", [{}, {"batch_first": True, "bidirectional": True}])
def test_layer_by_layer_the_numbers_are_the_same(kind: Any, options: dict[str, Any]) -> None:
    module = kind(SIZE, HIDDEN, num_layers=3, **options).eval()
    directions = 1 + bool(options)
    starts = tuple(torch.rand(3 * directions, BATCH, HIDDEN) for _ in range(2))
    arguments = torch.rand(BATCH, BATCH, SIZE), starts if kind is nn.LSTM else starts[0]
    with torch.no_grad():
        whole = tree_leaves(module(*arguments))
        with whole_calls(lambda call: call.run(), module):
            divided = tree_leaves(module(*arguments))
    assert len(whole) == len(divided)
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(whole, divided, strict=True))


def test_projections_and_last_states() -> None:
    graph = trace(nn.LSTM(SIZE, HIDDEN, 2, proj_size=2), (STEPS, BATCH, SIZE))
    # Each step: four gates of 4 from 3 and 2 (then 2 and 2) numbers; then 4 numbers are projected to 2.
    assert graph.flops.tolist() == [2 * 10 * (16 * 5 + 8), 2 * 10 * (16 * 4 + 8), 0, 0]
    assert [layer.name for layer in graph.layers[2:]] == ["cat", "cat#2"]  # last states and cells of both layers
    assert graph.output_bytes.tolist()[2:] == [2 * 4 * BATCH * 2, 2 * 4 * BATCH * HIDDEN]


class Packed(nn.Module):
    def __init__(self, is_sorted: bool) -> None:
        super().__init__()
        self.words, self.is_sorted = nn.Embedding(9, SIZE), is_sorted
        self.rnn = nn.GRU(SIZE, HIDDEN, batch_first=True, bidirectional=True)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(self.words(ids), lengths.cpu(), batch_first=True, enforce_sorted=self.is_sorted)
        outputs, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
        return outputs


@pytest.mark.parametrize("is_sorted", [True, False])
def test_packed_sequences(is_sorted: bool) -> None:
    ids, module = InputSpec((2, 7), "int64"), Packed(is_sorted)
    products = 2 * 3 * HIDDEN * (SIZE + HIDDEN)
    whole = trace(module, ids, InputSpec((2,), "int64"))  # every sequence has all 7 words
    assert {layer.name: layer.flops for layer in whole.layers}["rnn"] == 2 * 14 * products
    lengths = torch.tensor([6, 3])
    graph = trace(module, ids, lengths)
    assert {layer.name: layer.flops for layer in graph.layers}["rnn"] == 2 * 9 * products
    assert graph.layers[-1].output_bytes == 4 * 2 * 6 * 2 * HIDDEN
    assert measure(module, ids, lengths, effort=QUICK).is_of(graph)


def test_each_step_of_a_cell_is_one_operator() -> None:
    class Cells(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.long, self.gated, self.plain = nn.LSTMCell(3, 4), nn.GRUCell(4, 5), nn.RNNCell(5, 6)

        def forward(self, x: Tensor) -> Tensor:
            hidden, cell = self.long(x)
            hidden, _ = self.long(x, (hidden, cell))
            result: Tensor = self.plain(self.gated(hidden))
            return result

    graph = trace(Cells(), (2, 3))
    assert [layer.name for layer in graph.layers] == ["long", "long#2", "gated", "plain"]
    assert graph.flops.tolist() == [2 * 2 * 16 * 7, 2 * 2 * 16 * 7, 2 * 2 * 15 * 9, 2 * 2 * 6 * 11]
    assert graph.layers[1].shares == (0,)
    assert measure(Cells(), (2, 3), effort=QUICK).is_of(graph)


def test_attention_that_was_imported_by_name() -> None:
    class Attending(nn.Module):
        def forward(self, query: Tensor) -> Tensor:
            return scaled_dot_product_attention(query, query, query)

    graph = trace(Attending(), (1, 2, 8, 4))
    assert [(layer.name, layer.flops) for layer in graph.layers] == [
        ("scaled_dot_product_attention", 2 * 2 * 2 * 64 * 4)
    ]
    assert measure(Attending(), (1, 2, 8, 4), effort=QUICK).is_of(graph)
    assert scaled_dot_product_attention is functional.scaled_dot_product_attention


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, about scripts
def test_a_scripted_recurrent_module_is_explained() -> None:
    with pytest.raises(ValueError, match=r"not at the same device.* give the original module instead of"):
        trace(torch.jit.script(Outputs(nn.LSTM(3, 4))), (5, 2, 3))


def test_states_without_a_device() -> None:
    class Starting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            outputs: Tensor = self.rnn(x, torch.zeros(1, x.shape[1], 4))[0]
            return outputs

    assert trace(Starting(), (5, 2, 3)).flops.tolist() == [2 * 10 * 12 * 7]


def test_functions_are_put_back() -> None:
    before = (torch._VF.lstm, torch.gru, torch._VF.rnn_tanh_cell)
    trace(nn.LSTM(3, 4), (5, 1, 3))
    with pytest.raises(ValueError, match="cannot trace 'LSTM'"):
        trace(nn.LSTM(3, 4), (5, 1, 4))
    assert (torch._VF.lstm, torch.gru, torch._VF.rnn_tanh_cell) == before
    assert "lstm" not in vars(torch._VF)
