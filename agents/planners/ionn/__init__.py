"""IONN: shortest paths through the execution graph of one user's DNN say what is uploaded, and in which order.

Begin with `agents.planners.ionn.ionn`, the planner; `agents.planners.ionn.execution_graph` has the graph and its paths.
"""
