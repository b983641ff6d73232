"""The documented transitions between phases of a Remediation, from docs/concepts.md."""

import re
from pathlib import Path

CONCEPTS = Path(__file__).parents[2] / "docs" / "concepts.md"


def lifecycle_section() -> str:
    """Return the section on the life of a Remediation."""
    return CONCEPTS.read_text(encoding="utf-8").partition("## The life of a Remediation\n")[2].partition("\n## ")[0]


def documented_transitions() -> dict[str, set[str]]:
    """Return the phases that may follow each phase."""
    rows = [line.split("|") for line in lifecycle_section().splitlines() if line.startswith("| `")]
    return {phase.strip(" `"): set(re.findall(r"`(\w+)`", following)) for _, phase, _, following, _ in rows}
