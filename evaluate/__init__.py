"""Evaluation: policies and scenarios in, tables and figures out."""
