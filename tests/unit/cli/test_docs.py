"""The documentation: generated pages are up to date, and what refers to something finds it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from forestall.api import KINDS

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "benchmarks" / "README.md",
    ROOT / "charts" / "forestall" / "README.md",
]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_reference_is_up_to_date():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "reference.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"run scripts/reference.py:\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading"


def test_the_readme_leads_to_every_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    reached = {(ROOT / link.partition("#")[0]).resolve() for link in LINK.findall(readme)}
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert page in reached, f"README.md does not mention {page.name}"


def test_there_is_a_reference_of_every_kind():
    assert {path.stem for path in (ROOT / "docs" / "reference").glob("*.md")} == {
        *(kind.SINGULAR for kind in KINDS),
        "cli",
        "reasons",
    }


def test_what_is_said_of_the_simulation_s_picture_is_in_it():
    """The picture is made by `make pictures`; who draws it anew learns here which words are old."""
    drawn = (ROOT / "docs" / "images" / "simulate.svg").read_text(encoding="utf-8")
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    titles = re.findall(r">(HPA[^:<]*): (\d+) bad minutes \([^)]*\), ([\d.]+) replica-hours<", drawn)
    (_, alone, hours), (_, both, more) = titles
    assert (
        f"The HPA has {alone} bad minutes for {hours} replica-hours, the HPA with forestall {both} for {more}."
        in readme
    )
