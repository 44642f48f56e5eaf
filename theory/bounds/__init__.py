"""Every bound family, one file each; importing this package fills the catalogue."""

from theory.bounds import exact
from theory.bounds import support
from theory.bounds import subsets
from theory.bounds import spectral
from theory.bounds import fisher
from theory.bounds import majorization
from theory.bounds import probability_floor
from theory.bounds import high_mass
from theory.bounds import perturbation
