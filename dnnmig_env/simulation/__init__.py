"""Simulation: carries plans out in scenarios; the only room that computes a second of delay."""
