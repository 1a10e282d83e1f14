"""Execution: runs the layers of a prepared graph one by one on real tensors, as a node does that has only some of them.

Begin with `build`, which finds the torch module that a graph was traced from and returns its `LayerRunner`. `tape`
records the operators of one forward pass, `steps` says what an operator reads and makes, `layer_runner` divides the
tape into the layers of the graph and runs them, and `timing` measures the seconds that each layer takes that way.
"""
