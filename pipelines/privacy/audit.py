"""The attacker: everything that published files tell, solved for what nobody may know.

Reads exports and nothing else. Each figure of the ledger is an interval of whole numbers, the facts of facts.py connect
them, and a published number that its derivation does not give from the ledger is taken for one made from true counts.
An export passes if every leaf, total and difference keeps at least five possible values and no count between 1 and
threshold - 1 is proven.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.privacy.attack import snapshots_of, solve
from pipelines.privacy.explaining import Guess, explain
from pipelines.privacy.export import Finding, find_exports, read_export
from pipelines.privacy.leaves import Parameters
from pipelines.privacy.ledger import Ledger
from pipelines.privacy.ledger_checks import compare_exports, find_patterns, read_ledger

Progress = Callable[[str], None]


@dataclass
class AuditReport:
    """What the attacker found."""

    exports: int = 0
    numbers: int = 0
    """Published numbers that were looked at."""
    leaves: int = 0
    """Leaves whose possible values were solved for."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_safe(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def audit(folders: Sequence[Path], progress: Progress) -> AuditReport:
    """Attack exports, all together; folders may be exports or hold them.

    Raises KpiError where there is none, or one without a manifest.
    """
    report = AuditReport()
    exports = []
    for folder in find_exports(list(folders)):
        exports.append(read_export(folder))
        progress(f"Read the export of {exports[-1].name}")
    readings = [read_ledger(export) for export in sorted(exports, key=lambda export: export.name)]
    compare_exports(readings)
    guesses: list[Guess] = []
    whole = Ledger()
    parameters: dict[str, Parameters] = {}
    for reading in readings:
        explained = explain(reading)
        guesses += explained.guesses
        report.numbers += explained.numbers
        whole.releases.update(reading.ledger.releases)
        parameters.update(reading.parameters)
    report.exports, report.leaves = len(readings), len(whole.releases)
    last = readings[-1].export
    find_patterns(last, whole)
    progress(f"Solving for {report.leaves:,} leaves")
    solve(last, whole, parameters, snapshots_of(readings, whole), guesses, progress)
    for reading in readings:
        report.findings += reading.export.findings
    return report
