"""Bounds proved to the last digit: certificates re-evaluated in ball arithmetic on small instances.

Needs python-flint (``pip install rankfloor[certify]``).  The table is taken as the float64 logarithms it stores,
normalised exactly; the certificate as the float64 numbers it holds.
"""

from theory.balls.certify import Enclosure, Proof, certify

__all__ = ["Enclosure", "Proof", "certify"]
