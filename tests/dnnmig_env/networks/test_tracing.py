"""Small modules whose graphs can be written down by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.tracing import InputSpec, parse_inputs, trace


def by_name(graph: LayerGraph) -> dict[str, Any]:
    return {layer.name: layer for layer in graph.layers}


def readers_of(graph: LayerGraph) -> dict[str, set[str]]:
    names = [layer.name for layer in graph.layers]
    return {names[index]: {names[reader] for reader in readers} for index, readers in enumerate(graph.successors)}


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout()
        self.head = nn.Linear(3 * 8 * 8, 10)

    def forward(self, image: Tensor) -> Tensor:
        hidden = self.drop(self.act(self.norm(self.conv(image))))
        return self.head((hidden + image).flatten(1))


def test_layers_bytes_and_flops_by_hand() -> None:
    graph = trace(Residual(), (1, 3, 8, 8), name="residual")
    image = 4 * 3 * 8 * 8
    rows = [(x.name, x.flops, x.weight_bytes, x.output_bytes, x.predecessors) for x in graph.layers]
    assert rows == [
        ("conv", 2 * 8 * 8 * 3 * 3 * 9, 4 * (3 * 3 * 9 + 3), image, (-1,)),
        ("norm", 0, 4 * 6, image, (0,)),
        ("act", 0, 0, image, (1,)),  # updates its input in place, and is an operator all the same
        ("add", 0, 0, image, (-1, 2)),
        ("head", 2 * 192 * 10, 4 * (192 * 10 + 10), 40, (3,)),
    ]
    assert graph.input_bytes == image
    assert graph.name == "residual"
    assert (graph.operators == 1).all()
    assert f"torch {torch.__version__}" in graph.origin


def test_real_weights_are_neither_needed_nor_changed_and_the_module_stays_in_training() -> None:
    real = Residual().train()
    real.drop.eval()
    before = {name: (value.data_ptr(), value.clone()) for name, value in real.state_dict().items()}
    with torch.device("meta"):
        empty = Residual()
    random_state = torch.get_rng_state()
    assert trace(real, (1, 3, 8, 8)) == trace(empty, (1, 3, 8, 8)) == trace(real, torch.ones(1, 3, 8, 8))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert real.training
    assert real.norm.training
    assert not real.drop.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in real.modules())
    for name, value in real.state_dict().items():
        assert (value.data_ptr(), value.tolist()) == (before[name][0], before[name][1].tolist())


class SharedHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1, stride=2)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"fine": self.head(self.left(image)), "coarse": self.head(self.right(image))}


def test_a_shared_head_is_uploaded_once_and_runs_twice() -> None:
    module = SharedHead()
    graph = trace(module, (1, 3, 8, 8))
    layers = by_name(graph)
    assert readers_of(graph) == {"left": {"head"}, "right": {"head#2"}, "head": set(), "head#2": set()}
    assert (layers["head"].weight_bytes, layers["head#2"].weight_bytes) == (40, 0)
    assert (layers["head"].internal_bytes, layers["head#2"].internal_bytes) == (0, 40)  # it reads them all the same
    assert graph.weight_bytes.sum() == 4 * sum(parameter.numel() for parameter in module.parameters())
    assert len(graph.output_layers) == 2


class TiedEmbedding(nn.Module):
    """Token ids to logits with one table at both ends, positions from a table, and a causal mask."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(50, 8), nn.Embedding(16, 8)
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 50, bias=False)
        self.out.weight = self.words.weight
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, ids: Tensor) -> Tensor:
        length = ids.shape[1]
        steps = torch.arange(length, device=ids.device)
        hidden = self.words(ids) * self.scale.abs() + self.positions(steps)
        query, key, value = (part.view(1, length, 2, 4).transpose(1, 2) for part in self.qkv(hidden).chunk(3, dim=-1))
        mask = steps[:, None] >= steps
        if mask[0].all():  # a question about values that depend on shapes alone
            raise AssertionError("the first token sees only itself")
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).reshape(1, length, 8))


def test_ties_constants_and_attention() -> None:
    module = TiedEmbedding()
    graph = trace(module, InputSpec((1, 6), "int64"))
    rows = [(x.name, x.flops, x.weight_bytes, x.predecessors) for x in graph.layers]
    assert rows == [
        ("words", 0, 4 * 50 * 8, (-1,)),
        ("mul", 0, 4 * 8, (0,)),  # the scale is read through a constant, |scale|
        ("add", 0, 4 * 16 * 8, (1,)),  # and so are the positions
        ("qkv", 2 * 6 * 8 * 24, 4 * (8 * 24 + 24), (2,)),
        ("scaled_dot_product_attention", 2 * 2 * (2 * 6 * 6 * 4), 0, (3,)),
        ("out", 2 * 6 * 8 * 50, 0, (4,)),  # its table is there already
    ]
    assert graph.layers[-1].internal_bytes == 4 * 50 * 8
    assert graph.input_bytes == 6 * 8
    assert graph.weight_bytes.sum() == 4 * sum(parameter.numel() for parameter in module.parameters())


def test_attention_inside_torch_modules_is_one_operator() -> None:
    encoder = nn.TransformerEncoderLayer(16, 2, dim_feedforward=32, batch_first=True)
    graph = trace(encoder, (1, 5, 16))
    layers = by_name(graph)
    tokens, width, inner = 5, 16, 32
    assert layers["self_attn.scaled_dot_product_attention"].flops == 4 * tokens**2 * width
    assert graph.flops.sum() == 2 * tokens * (4 * width**2 + 2 * width * inner) + 4 * tokens**2 * width
    assert graph.weight_bytes.sum() == 4 * sum(parameter.numel() for parameter in encoder.parameters())
    assert functional.scaled_dot_product_attention is torch._C._nn.scaled_dot_product_attention


def test_what_attention_returns_has_no_known_values() -> None:
    class Choosing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mixed = functional.scaled_dot_product_attention(x, x, x)
            return mixed if mixed.sum() > 0 else -mixed

    with pytest.raises(ValueError, match="control flow depends on tensor values"):
        trace(Choosing(), (1, 2, 4, 4))


def test_grouped_queries_share_keys_but_not_work() -> None:
    class Grouped(nn.Module):
        def forward(self, query: Tensor, key: Tensor) -> Tensor:
            return functional.scaled_dot_product_attention(query, key, key, enable_gqa=True)

    graph = trace(Grouped(), (1, 8, 5, 4), (1, 2, 7, 4))
    assert graph.flops.tolist() == [2 * 2 * (8 * 5 * 7 * 4)]
    assert graph.input_bytes == 4 * (8 * 5 * 4 + 2 * 7 * 4)


@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (1, 4, 5, 5), 5 * 5 * 4 * 3 * 9),
        (nn.Conv2d(4, 8, 3, groups=4), (1, 4, 5, 5), 3 * 3 * 8 * 9),
        (nn.Conv3d(2, 3, 2), (1, 2, 4, 4, 4), 3 * 3 * 3 * 3 * 2 * 8),
        (nn.Conv1d(2, 3, 2, dilation=2), (1, 2, 6), 4 * 3 * 2 * 2),
        (nn.Linear(4, 5, bias=False), (1, 3, 4), 3 * 4 * 5),
    ],
)
def test_products_by_hand(module: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    graph = trace(module, shape)
    assert graph.flops.tolist() == [2 * macs]
    assert graph.weight_bytes.sum() == 4 * sum(parameter.numel() for parameter in module.parameters())


def test_a_bilinear_layer_multiplies_two_vectors_by_a_matrix_per_output() -> None:
    graph = trace(nn.Bilinear(3, 5, 2), (7, 3), (7, 5))
    assert graph.flops.tolist() == [2 * 7 * 2 * 3 * 5, 0]  # the bias is added by an operator of its own


def test_products_with_a_vector_count() -> None:
    class Vector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, matrix: Tensor) -> Tensor:
            return (matrix @ self.weight) @ torch.ones(5)

    assert trace(Vector(), (5, 3)).flops.tolist() == [2 * 5 * 3, 2 * 5]


def test_views_vanish_and_copies_stay() -> None:
    class Views(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = x.view(2, 3, 4).permute(2, 0, 1).unsqueeze(0).squeeze(0).transpose(0, 1)
            x = functional.dropout(x, training=self.training)
            return torch.relu(x.reshape(24))  # not laid out that way: a copy

    names = [layer.name for layer in trace(Views(), (24,)).layers]
    assert len(names) == 2
    assert names[-1] == "relu"


def test_an_output_of_which_only_a_slice_is_read_is_that_slice() -> None:
    class FirstToken(nn.Module):
        def __init__(self, also_last: bool) -> None:
            super().__init__()
            self.norm, self.head, self.also_last = nn.LayerNorm(8), nn.Linear(8, 2), also_last

        def forward(self, tokens: Tensor) -> Any:
            hidden = self.norm(tokens)
            first = self.head(hidden[:, 0])
            return (first, self.head(hidden[:, -1])) if self.also_last else first

    norm, _ = trace(FirstToken(False), (1, 10, 8)).layers
    assert (norm.output_bytes, norm.internal_bytes) == (32, 9 * 32)  # what nobody reads is written all the same
    norm = trace(FirstToken(True), (1, 10, 8)).layers[0]
    assert (norm.output_bytes, norm.internal_bytes) == (64, 8 * 32)


def test_writing_into_a_buffer_depends_on_what_was_written_before() -> None:
    class Assemble(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            page = torch.zeros(2, 4, device=x.device)
            page[0] = x.exp()
            page[1] = x.sin()
            return page.cos()

    graph = trace(Assemble(), (4,))
    assert readers_of(graph) == {
        "exp": {"copy"},
        "copy": {"copy#2"},
        "sin": {"copy#2"},
        "copy#2": {"cos"},
        "cos": set(),
    }
    assert by_name(graph)["copy"].output_bytes == 32


def test_real_buffers_dead_code_and_unread_weights() -> None:
    class Anchored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("anchors", torch.arange(4.0))
            self.main, self.auxiliary, self.unused = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            self.auxiliary(x)  # nobody uses the result
            return self.main(x) + self.anchors[:2].repeat(2) + torch.zeros_like(x)

    graph = trace(Anchored(), (1, 4))
    assert readers_of(graph) == {"main": {"add"}, "add": {"add#2"}, "add#2": set()}
    assert graph.weight_bytes.tolist() == [4 * 20, 4 * 4, 0]  # the anchors are saved with the parameters
    assert f"without {4 * 40} bytes of weights" in graph.origin


def test_outputs_of_any_shape_are_found() -> None:
    class Nested(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return {"a": [x.exp(), None], "b": ({"c": x.sin()}, 3)}

    assert {layer.name for layer in trace(Nested(), (2,)).layers} == {"exp", "sin"}


def test_half_precision_weights_have_two_bytes() -> None:
    graph = trace(nn.Linear(4, 4, dtype=torch.float16), InputSpec((1, 4), "float16"))
    assert (graph.weight_bytes.sum(), graph.layers[0].output_bytes) == (40, 8)


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.exp() if x.sum() > 0 else x.sin()


@pytest.mark.parametrize(
    ("module", "inputs", "message"),
    [
        (
            Branching(),
            [(2,)],
            r"cannot trace 'Branching' on inputs \[\(2,\)\]: .* control flow depends on tensor values",
        ),
        (nn.Linear(3, 4), [(1, 5)], r"cannot trace 'Linear' on inputs \[\(1, 5\)\]: RuntimeError: .*Check the input"),
        (nn.Linear(3, 4), [], "cannot trace 'Linear'"),
        (nn.Linear(3, 4), [(1, 0)], r"input 0: shape is \(1, 0\); give positive integers"),
        (nn.Linear(3, 4), [(1, 3.5)], r"input 0: shape is \(1, 3.5\); give positive integers"),
        (nn.Linear(3, 4), [InputSpec((1, 3), "float31")], "input 0: dtype is 'float31'; give a torch element type"),
        (nn.Identity(), [(1, 3)], "network 'Identity': no output is computed from its input"),
    ],
)
def test_what_cannot_be_traced_is_explained(module: nn.Module, inputs: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        trace(module, *inputs)
    assert "\n" not in str(caught.value)
    assert functional.scaled_dot_product_attention is torch._C._nn.scaled_dot_product_attention


def test_input_shapes_of_a_command_line() -> None:
    assert parse_inputs(["1", "3", "224", "224"]) == (InputSpec((1, 3, 224, 224)),)
    assert parse_inputs(["1x128:int64", "1x128"]) == (InputSpec((1, 128), "int64"), InputSpec((1, 128)))
    assert [str(spec) for spec in parse_inputs(["1x128:int64", "1x8"])] == ["1x128:int64", "1x8"]
    assert parse_inputs([]) == ()
    assert parse_inputs(["scalar:int64", "1x0x4"]) == (InputSpec((), "int64"), InputSpec((1, 0, 4)))
    assert str(InputSpec((), "int64")) == "scalar:int64"
    for word in ("scalars", "x", "-1", "1x2x", "1.5"):
        with pytest.raises(ValueError, match=f"input shape is '{word}'; give sizes such as 1 3 224 224"):
            parse_inputs([word])
