"""ONNX: makes layer graphs from ONNX files.

Begin with `reader`, which reads a file. `inputs` fixes the shapes of the inputs. `control_flow` and `sequences` write
the network as one list of operators, by a `writer`; meanwhile `shapes` infers the type of every tensor, also in
`old_operators`, and `operands` checks that operators fit what they read. `operators` says what each standard operator
costs, and `contributed` and `attention` do so for those of ONNX Runtime, each by a `rule`.
"""
