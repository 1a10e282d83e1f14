"""Networks: DNNs as graphs of layers, where these come from, and how they are regrouped and timed.

Begin with `layer_graph`, the form of a network that everything else uses. `preprocessing` fuses and merges layers, with
`grouping`. `zoo` holds traced networks, `graph_file` reads and writes them. `sources` finds the network that a command
line names; `tracing` makes a graph of a torch module and `onnx` one of an ONNX file, both with `operator_log`.
`profiling` measures how long layers take, `measured_profile` is the file of such times. `execution` runs the layers
of a graph one by one on real tensors.
"""
