"""Floating-point formats to which logits are rounded.

A format has ``digits`` significant binary digits, normal numbers from ``2^least_exponent`` on, below them equally
spaced subnormal ones down to 0, and a largest finite number.  Rounding goes to the nearest number, ties to the even
one, and saturates: beyond the largest number it is the largest number.  So for every x in range

    |fl(x) - x| <= u |x| + eta,    u = 2^-digits,    eta = 2^(least_exponent - digits),

and fl is monotone and odd.
"""

from __future__ import annotations

from dataclasses import dataclass

from synth._array import Array, namespace
from synth._check import member


@dataclass(frozen=True)
class FloatFormat:
    """One format; ``digits`` count the leading one that is not stored."""

    name: str
    digits: int
    least_exponent: int
    largest: float

    @property
    def roundoff(self) -> float:
        """The unit roundoff u."""
        return 2.0**-self.digits

    @property
    def underflow(self) -> float:
        """Half the spacing of subnormal numbers, eta."""
        return 2.0 ** (self.least_exponent - self.digits)

    def error(self, size: float) -> float:
        """What rounding can move a number of magnitude at most ``size``; infinite beyond the largest number."""
        return self.roundoff * size + self.underflow if size <= self.largest else float("inf")

    def round(self, x: Array) -> Array:
        """``fl(x)`` elementwise, in the dtype of ``x`` (float64)."""
        spacing = self._spacing(x)
        xp = namespace(x)
        return xp.clip(xp.round(x / spacing) * spacing, -self.largest, self.largest)

    def below(self, x: Array) -> Array:
        """The largest number of the format at most x, elementwise; minus infinity below all of them."""
        spacing = self._spacing(x)
        xp = namespace(x)
        down = xp.clip(xp.floor(x / spacing) * spacing, None, self.largest)
        return xp.where(down < -self.largest, xp.full_like(x, -float("inf")), down)

    def _spacing(self, x: Array) -> Array:
        """Distance of neighbouring numbers around x.

        A logarithm misrounded beside a power of two picks a neighbouring spacing, on which the power lies as well.
        """
        xp = namespace(x)
        magnitude = xp.clip(xp.abs(x), None, self.largest)
        exponent = xp.floor(xp.log2(xp.where(magnitude > 0, magnitude, xp.ones_like(x))))
        exponent = xp.where(magnitude > 0, exponent, xp.full_like(x, float(self.least_exponent)))
        exponent = xp.clip(exponent, float(self.least_exponent), None)
        return xp.pow(xp.full_like(x, 2.0), exponent - (self.digits - 1))


FORMATS = {
    fmt.name: fmt
    for fmt in (
        FloatFormat("float32", 24, -126, (2 - 2.0**-23) * 2.0**127),
        FloatFormat("bfloat16", 8, -126, (2 - 2.0**-7) * 2.0**127),
        FloatFormat("float16", 11, -14, 65504.0),
        FloatFormat("fp8-e4m3", 4, -6, 448.0),
    )
}
"""IEEE 754 binary32 and binary16, bfloat16, and the E4M3 format of Micikevicius et al. (2022)."""


def float_format(name: str) -> FloatFormat:
    """The format of that name; ``ValueError`` with the nearest one for others."""
    return FORMATS[member("float format", name, FORMATS)]
