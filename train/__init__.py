"""Training: a configuration in, the folder of a training run with a trained agent out.

`python -m train` begins in `train.__main__`. Read `train.config` first, which says what can be asked for, then
`train.run`, which does it; `train.folder` says what a run's folder holds.
"""
