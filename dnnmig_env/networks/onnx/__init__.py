"""ONNX: reads graphs of layers from ONNX files."""
