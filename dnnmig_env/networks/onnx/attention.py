"""What the attention operators of ONNX Runtime, and its mixtures of experts, return and cost."""

from __future__ import annotations

import math
from collections.abc import Callable

from onnx import TensorProto

from dnnmig_env.networks.onnx.rule import Call, Result


def _attended(batch: int, heads: int, queries: int, keys: int, sizes: int) -> float:
    """Return the operations of attention; `sizes` are those of a query and of a value together."""
    return 2.0 * batch * heads * queries * keys * sizes


def grouped_query_attention(call: Call) -> Result:
    """Return the result of attention in which several heads share keys and values; those of the past come first."""
    heads, groups = call.attributes["num_heads"], call.attributes["kv_num_heads"]
    batch, length, width = call.shape(0)
    size = width // heads if call.at(1) is not None else width // (heads + 2 * groups)
    past = call.at(3)
    keys = past.shape[2] + length if past is not None else length
    total = call.values[6] if len(call.values) > 6 else None
    cache = max(keys, past.shape[2] if past is not None else 0)
    if total is not None:
        keys, cache = int(total.reshape(-1)[0]), max(int(total.reshape(-1)[0]), past.shape[2] if past else 0)
    window = call.attributes.get("local_window_size", -1)
    flops = _attended(batch, heads, length, min(keys, window) if window > 0 else keys, 2 * size)
    present = (batch, groups, cache, size)
    return Result([(batch, length, heads * size), present, present], flops)


def multi_head_attention(call: Call) -> Result:
    """Return the result of attention to given keys and values; those of the past come first."""
    heads = call.attributes["num_heads"]
    query, key, value, past = call.shape(0), call.at(1), call.at(2), call.at(6)
    if len(query) == 5:  # queries, keys and values in one tensor: batch, length, heads, 3, size
        (batch, length, _, _, size), keys = query, query[1]
        value_size = size
    else:
        batch, length, width = query
        size = width // heads
        if key is None:
            raise LookupError
        keys = key.shape[2] if len(key.shape) == 4 else key.shape[1]
        value_size = size if value is None else value.shape[-1] // (1 if len(value.shape) == 4 else heads)
    keys += past.shape[2] if past is not None else 0
    present = [(batch, heads, keys, size), (batch, heads, keys, value_size)]
    flops = _attended(batch, heads, length, keys, size + value_size)
    return Result([(batch, length, heads * value_size), *present, (batch, heads, length, keys)], flops)


def self_attention(past_place: int, output_type: int | None = None) -> Callable[[Call], Result]:
    """Return the rule of attention that contains the projection of its input to queries, keys and values."""

    def rule(call: Call) -> Result:
        (batch, length, width), heads = call.shape(0), call.attributes["num_heads"]
        columns = call.shape(1)[1]
        sizes = call.attributes.get("qkv_hidden_sizes") or [columns // 3] * 3
        past = call.at(past_place)
        keys = length + (past.shape[3] if past is not None else 0)
        flops = 2.0 * batch * length * width * columns
        flops += _attended(batch, heads, length, keys, (sizes[0] + sizes[2]) // heads)
        present = (2, batch, heads, keys, sizes[0] // heads)
        return Result([(batch, length, sizes[2]), present], flops, output_type)

    return rule


def experts(call: Call) -> Result:
    """Return the result of a mixture of experts: each token is multiplied by the weights of `k` of them."""
    tokens, chosen = math.prod(call.shape(0)[:-1]), call.attributes.get("k", 1)
    bits = call.attributes.get("expert_weight_bits", 4) if call.at(3) is not None and _is_packed(call) else 0
    # In a mixture of quantised experts, each weight is followed by its scales and its bias.
    places = (2, 5, 8) if bits else (2, 4, 6)
    elements = sum(math.prod(found.shape[1:]) for place in places if (found := call.at(place)) is not None)
    return Result([call.shape(0)], 2.0 * tokens * chosen * elements * (8 // bits if bits else 1))


def _is_packed(call: Call) -> bool:
    weight = call.at(2)
    return weight is not None and weight.element_type in (TensorProto.UINT8, TensorProto.INT8)
