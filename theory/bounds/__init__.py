"""Every bound family, one file each; importing this package fills the catalogue."""

from theory.bounds import (
    budget_head,
    budget_packing,
    budget_precision,
    budget_range,
    budget_rounding,
    conjugate,
    exact,
    fisher,
    high_mass,
    majorization,
    nested,
    perturbation,
    probability_floor,
    spectral,
    subsets,
    support,
)
