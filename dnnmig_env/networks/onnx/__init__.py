"""ONNX: makes layer graphs from ONNX files.

Begin with `reader`, which reads a file. `shapes` infers the shape of every tensor, `operators` says what each operator
costs.
"""
