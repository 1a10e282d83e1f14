"""What is known of inputs: values of integers and truth values, given tensors, names, nested inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dnnmig_env.networks.profiling.measure import Effort, measure
from dnnmig_env.networks.tracing import InputSpec, parse_inputs, trace
from dnnmig_env.networks.tracing.examples import example_call

QUICK = Effort(repeats=1, warm_up=0, rounds=1)
IDS = InputSpec((1, 4), "int64")


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 8)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden: Tensor = self.words(ids)
        return hidden if mask.all() else hidden * mask[..., None]


def names(module: nn.Module, *inputs: Any) -> list[str]:
    return [layer.name for layer in trace(module, *inputs).layers]


def test_a_mask_is_ones_unless_its_values_are_given() -> None:
    padded = torch.tensor([[1, 1, 0, 0]])
    assert names(Masked(), IDS, IDS) == ["words"]
    assert names(Masked(), IDS, InputSpec((1, 4), "bool")) == ["words"]
    assert names(Masked(), IDS, padded) == names(Masked(), IDS, padded.bool()) == ["words", "mul"]
    for mask in (IDS, padded):
        assert measure(Masked(), IDS, mask, effort=QUICK).is_of(trace(Masked(), IDS, mask))
    assert padded.tolist() == [[1, 1, 0, 0]]


@pytest.mark.parametrize(
    ("name", "dtype", "shape", "value"),
    [
        ("input_ids", "int64", (2, 5), 0),
        ("token_type_ids", "int32", (2, 5), 0),
        ("attention_mask", "int64", (2, 5), 1),
        ("attention_mask", "bool", (2, 5), 1),
        ("key_padding_mask", "bool", (2, 5), 0),
        ("use_cache", "bool", (), 0),
        ("lengths", "int64", (2,), 5),
        ("input_length", "int32", (2,), 5),
        ("steps", "uint8", (2,), 0),
    ],
)
def test_default_values(name: str, dtype: str, shape: tuple[int, ...], value: int) -> None:
    class Takes(nn.Module):
        def forward(self, sound: Tensor, **others: Tensor) -> Tensor:
            return sound

    call = example_call(Takes(), [(2, 5, 3), InputSpec(shape, dtype, name)])
    assert call.args[0].values is None  # nothing is known of other numbers
    assert torch.equal(call.kwargs[name].values, torch.full(shape, value, dtype=getattr(torch, dtype)))


def test_lengths_where_steps_come_first() -> None:
    class Takes(nn.Module):
        def forward(self, sound: Tensor, lengths: Tensor) -> Tensor:
            return sound

    assert example_call(Takes(), [(5, 2, 3), InputSpec((2,), "int64")]).args[1].values.tolist() == [5, 5]


def test_known_values_decide_shapes() -> None:
    class Selects(nn.Module):
        def forward(self, x: Tensor, keep: Tensor) -> Any:
            places = keep.nonzero()[:, 0]
            chosen = x[keep]
            return (
                chosen.exp(),
                torch.masked_select(x, keep[:, None]).sin(),
                x[places].cos(),
                x[: keep.tolist().count(True)],
            )

    graph = trace(Selects(), (3, 4), torch.tensor([True, False, True]))
    sizes = {layer.name: layer.output_bytes for layer in graph.layers}
    assert (sizes["exp"], sizes["sin"], sizes["cos"]) == (2 * 4 * 4,) * 3
    assert graph.layers[[layer.name for layer in graph.layers].index("index")].predecessors == (-2, -1)
    with pytest.raises(ValueError, match="control flow depends on tensor values"):
        trace(Selects(), (3, 4), (3,))


def test_values_of_floats_are_known_if_given() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.exp() if x.cpu().numpy().sum() > 0 else x.sin()

    assert names(Branching(), torch.ones(2)) == ["exp"]
    assert names(Branching(), -torch.ones(2)) == ["sin"]


def test_lists_dictionaries_names_and_keywords() -> None:
    class Takes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, batch: Mapping[str, Any], extra: Tensor | None = None, *, scale: Tensor) -> Tensor:
            first, second = batch["pair"]
            result: Tensor = self.linear(first) + second * scale
            return result if extra is None else result - extra

    batch = {"pair": [(1, 3), InputSpec((1, 3), "float64")]}
    for inputs in ([batch, InputSpec((1,), name="scale")], [batch, (1, 3), (1,)]):
        graph = trace(Takes(), *inputs)
        assert [layer.name for layer in graph.layers][:2] == ["linear", "mul"]
        assert graph.inputs[:2] == (12, 24)
        assert measure(Takes(), *inputs, effort=QUICK).is_of(graph)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("1x3", "input 0 is '1x3'; give a shape such as"),
        (3, "input 0 is 3; give a shape such as"),
        ((1, True), r"input 0: shape is \(1, True\); give positive integers"),
        ({"image": (1, -3)}, r"input 0, 'image': shape is \(1, -3\)"),
        ([(1, 3), InputSpec((1,), "float")], None),
        ([(1, 3), InputSpec((1,), "flat")], "input 0, part 1: dtype is 'flat'"),
    ],
)
def test_inputs_that_make_no_sense(entry: Any, message: str | None) -> None:
    if message is None:
        assert len(example_call(nn.Identity(), [entry]).leaves) == 2
    else:
        with pytest.raises(ValueError, match=message):
            example_call(nn.Identity(), [entry])


def test_names_and_state_on_a_command_line() -> None:
    words = ["input_ids=1x128:int64", "past=1x12x127x64:float16:state", "1x3:state", "rate=scalar:int32"]
    specs = parse_inputs(words)
    assert specs == (
        InputSpec((1, 128), "int64", "input_ids"),
        InputSpec((1, 12, 127, 64), "float16", "past", state=True),
        InputSpec((1, 3), state=True),
        InputSpec((), "int32", "rate"),
    )
    assert [str(spec) for spec in specs] == words
    for word in ("=1x3", "a=", "1x3:", "1x3:int64:int32", "1x3:state:"):
        with pytest.raises(ValueError, match="input shape is "):
            parse_inputs([word])
