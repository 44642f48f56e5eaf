"""Fits, sweeps, real models, figures."""
