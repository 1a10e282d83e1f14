"""Networks: DNNs as graphs of layers, where they come from, and how they are fused and merged."""
