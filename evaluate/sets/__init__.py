"""Frozen sets of scenarios: files in the folder benchmarks/ that no generator and no version of NumPy can change.

NAME.tar.xz is an archive of scenario files, 000.json and so on, with all layers of their networks. SHA256SUMS has the
check sum of every such archive (`sha256sum --check SHA256SUMS`). NAME-best.tar.xz holds the best known plan of each
scenario as a plan file of the same name, and found.json, which says how long queries take with it, who found it and
when.

`archive` reads and writes such archives, `frozen` reads a set, and `best_known` its best known plans.
"""
