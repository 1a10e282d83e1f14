"""dnnmig: where each layer of a DNN runs and in which order its weights are uploaded, as a Gymnasium environment.

Importing this package registers the environments `dnnmig/Single-v0`, `dnnmig/EdgeCloud-v0`, `dnnmig/MultiUser-v0`,
`dnnmig/Mobile-v0` and `dnnmig/Toy-v0`.
"""

from dnnmig_env.envs.registration import register_environments

__version__ = "0.1.0"

register_environments()
