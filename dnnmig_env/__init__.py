"""dnnmig: deciding where each layer of a DNN runs and in which order its weights are uploaded, for Gymnasium.

Importing this package registers the environments `dnnmig/Single-v0`, `dnnmig/EdgeCloud-v0`, `dnnmig/MultiUser-v0`,
`dnnmig/Mobile-v0`, `dnnmig/City-v0` and `dnnmig/Toy-v0`. The rooms, each of which imports only rooms named before it:
`compiling` and `files` (tools), `networks` (DNNs as graphs of layers), `scenarios` (what is given), `simulation` (what
a plan leads to), `families` (random scenarios) and `envs` (the environments). Begin with `docs/model.md`, then read
`dnnmig_env.scenarios.scenario`, `dnnmig_env.simulation` and `dnnmig_env.envs.env`.
"""

from dnnmig_env.envs.registration import register_environments

__version__ = "0.1.0"

register_environments()
