"""Published claims on the softmax bottleneck, each with a check that recomputes its evidence and judges it."""

from theory.gallery import godey_figures, godey_lemmas, godey_ranks, later, yang
from theory.gallery.published import Comparison, Finding, PublishedClaim, Verdict, gallery, published

__all__ = ["Comparison", "Finding", "PublishedClaim", "Verdict", "gallery", "published"]
