"""SQL of analysts on the rows that they may take as an extract, with no way out of them.

    statement   one SELECT on the person's own tables, and nothing else
    rows_file   the content of an extract in a file of this process, opened read-only and cut off from everything
    run         runs a statement with limits of time, rows and memory; it can be cancelled
    bench       the acts of one person: tables, run, history, saved queries; each is a row of the audit

A person who may have an extract may ask it, and nobody else. It is the content of the extract, not the file of the scope: under Safe Harbor
the rows have years only, so that SQL does not get around the rule of small cells.
"""

from serving.workbench.bench import Bench, BenchTable
from serving.workbench.run import LIMITS, Result, Stop

__all__ = ["LIMITS", "Bench", "BenchTable", "Result", "Stop"]
