"""Dataset: records episodes of policies as Minari datasets, from which offline methods learn.

Begin with `evaluate.dataset.dataset`, the command; `evaluate.dataset.episodes` plays recorded actions again and notes
what an agent sees and is paid, and `evaluate.dataset.writing` writes that by Minari's storage.
"""
