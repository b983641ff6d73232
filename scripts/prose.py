"""Check the prose of README.md and docs/ against docs/dev/style.md; exits with 1 when there is something to mend.

docs/reference is written from the models, the commands and the reasons, so the texts of `kubectl explain`, `--help` and
`forestall explain` are checked too. Code is left out. Most rules are proselint's; those of the project are in WORDS.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import proselint.checks
from proselint.registry import CheckRegistry
from proselint.registry.checks import Check, types
from proselint.tools import LintFile

ROOT = Path(__file__).resolve().parents[1]
ENABLED: Final = dict.fromkeys(
    (
        *("forestall", "archaism", "cliches", "hedging", "industrial_language", "malapropisms", "mondegreens"),
        *("misc.but", "misc.chatspeak", "misc.illogic", "misc.inferior_superior", "misc.narcissism", "misc.pretension"),
        *("misc.waxed", "needless_variants", "nonwords", "oxymorons", "redundancy", "skunked_terms", "spelling.er_or"),
        *("spelling.in_un", "spelling.misc", "terms.eponymous_adjectives", "typography.punctuation", "weasel_words"),
    ),
    True,
)
WORDS: Final = {
    # The field's words, and the common ones.
    "anew": "again",
    "begun": "started",
    "dear": "expensive",
    "dearer": "more expensive",
    "gives back": "releases, or reverts",
    "give back": "release, or revert",
    "given back": "released, or reverted",
    "heed": "apply",
    "heeded": "applied",
    "heeds": "applies",
    "mend": "fix",
    "mended": "fixed",
    "mends": "fixes",
    "people are told": "forestall notifies people",
    "is told": "is notified, or is reported",
    "are told": "are notified, or are reported",
    "such a one": "one",
    "tells people": "notifies people",
    "utilize": "use",
    "commence": "start",
    # American spelling, as in Kubernetes.
    "behaviour": "behavior",
    "colour": "color",
    "colours": "colors",
    "licence": "license",
    "recognise": "recognize",
    "serialise": "serialize",
    "synchronise": "synchronize",
    "utilisation": "utilization",
    "utilised": "utilized",
    "labelled": "labeled",
    "cancelled": "canceled",
    "unauthorised": "unauthorized",
    "authorise": "authorize",
    "authorised": "authorized",
    "summarise": "summarize",
    "normalised": "normalized",
}
FILLERS: Final = ("simply", "easily", "obviously", "of course", "please", "basically", "in order to", "note that")
_CHECKS: Final = (
    Check(types.PreferredFormsSimple(items=WORDS), path="forestall.words", message="Write '{}' instead of '{}'."),
    Check(types.Existence(items=FILLERS), path="forestall.fillers", message="Leave '{}' out."),
)
_CODE: Final = re.compile(
    r"^( *)(```|~~~).*?^\1\2|`[^`\n]*`|<!--.*?-->|<[^>\n]+>|\]\([^)\n]*\)", re.DOTALL | re.MULTILINE
)


def main() -> int:
    """Print what was found, and return the exit code."""
    CheckRegistry().register_many((*_CHECKS, *proselint.checks.__register__))
    problems = [problem for page in _pages() for problem in _problems(page)]
    sys.stdout.write("".join(f"{problem}\n" for problem in problems))
    if problems:
        sys.stderr.write(f"{len(problems)} to mend; docs/dev/style.md says how forestall writes\n")
    return int(bool(problems))


def _pages() -> Iterator[Path]:
    yield ROOT / "README.md"
    yield from (
        page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name != "style.md"
    )  # it names what is wrong


def _problems(page: Path) -> Iterator[str]:
    """Yield what a page should say otherwise, as ``path:line:column: message``."""
    text = _CODE.sub(lambda match: re.sub(r"[^\n]", "`", match[0]), page.read_text())
    for result in LintFile(str(page), text).lint({"max_errors": 10_000, "checks": ENABLED}):
        line, column = result.pos
        yield f"{page.relative_to(ROOT)}:{line}:{column}: {result.check_result.message}"


if __name__ == "__main__":
    sys.exit(main())
