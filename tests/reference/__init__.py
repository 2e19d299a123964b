"""The key figures a second time, in plain Python, written from the definitions alone.

It shares no code with the pipelines and the models, and is as slow and as plain as it likes: where both
agree, two independent readings of the definitions agree. Percentages, means and the Gini coefficient are
exact fractions until the last step.
"""

from reference.lines import Counted, Line, Settled, counted, fates, lines_of, quarantine, settle
from reference.marts import Row, report

__all__ = [
    "Counted",
    "Line",
    "Row",
    "Settled",
    "counted",
    "fates",
    "lines_of",
    "quarantine",
    "report",
    "settle",
]
