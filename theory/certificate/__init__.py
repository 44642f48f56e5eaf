"""Conjugate certificates: lower bounds on the floor found by ascent, each evaluation of which is a valid bound."""

from theory.certificate.certify import certify
from theory.certificate.search import Effort

__all__ = ["Effort", "certify"]
