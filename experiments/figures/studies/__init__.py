"""One figure per study, a file each: ``draw(records) -> Drawn`` from the records of its store, computing no floors.

``rankfloor figure STORE`` and the report find the file by the study's name: ``gap-exponent`` is drawn by
``gap_exponent.py``, and so is ``gap-exponent-small``.
"""

from experiments.figures.studies.drawn import Drawn, figure_names, figure_of

__all__ = ["Drawn", "figure_names", "figure_of"]
