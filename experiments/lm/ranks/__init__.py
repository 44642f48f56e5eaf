"""Rank-constrained heads on a real model's frozen features: predicted, trained, truncated, and written to a file."""
