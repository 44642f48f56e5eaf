"""Sweeps: a study names a kind of trial, a grid and seeds; its trials run anywhere and end in one store."""

from experiments.studies.store import Store

__all__ = ["Store"]
