"""Benchmarks of speed, one part per file, and what they are compared with."""
