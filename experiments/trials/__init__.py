"""Kinds of trials that a sweep can run: one file per kind, each registered with ``@trial``."""

from experiments.trials.registry import Record, TrialKind, find_trial, trial, trial_names

__all__ = ["Record", "TrialKind", "find_trial", "trial", "trial_names"]
