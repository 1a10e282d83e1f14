"""Evaluation: policies and scenarios in, tables and figures out.

`python -m evaluate` begins in `evaluate.__main__`, which lists the commands. Read `evaluate.compare.config` first,
which says what can be asked for, then `evaluate.compare.compare`. The other commands are in `evaluate.studies`,
`evaluate.papers`, `evaluate.truth`, `evaluate.testbed`, `evaluate.speed` and `evaluate.publish`; `evaluate.output`
writes tables and folders.
"""
