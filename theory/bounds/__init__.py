"""Every bound family, one file each; importing this package fills the catalogue."""

from theory.bounds import (
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
