"""Laws of the repository's layout that no other tool holds."""

import re
import subprocess
import sys

import pytest


def test_operator_is_a_folder_and_never_a_package(root):
    """The standard library has a module ``operator``: a package of that name on the path would hide it."""
    assert (root / "operator" / "forestall" / "__init__.py").exists()
    assert not list((root / "operator").glob("*.py"))
    process = subprocess.run(
        [sys.executable, "-c", "import operator; print(operator.__file__)"],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not process.stdout.startswith(str(root))


def pins(root):
    """Return the files that pin what the project is built from."""
    modules = root / "operator" / "forestall" / "devcluster" / "modules"
    return [*(root / "constraints").glob("*.txt"), *modules.glob("*.txt"), *modules.glob("*/go.*")]


def test_pins_carry_no_download_address(root):
    """Where packages come from is the business of the machine that installs them."""
    files = pins(root)
    assert len(files) >= 13
    address = re.compile(r"https?:|index-url|find-links")
    assert [file.name for file in files if address.search(file.read_text())] == []


def test_every_pinned_python_package_has_hashes(root):
    for file in (file for file in pins(root) if file.suffix == ".txt"):
        entries = re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n?", "", file.read_text(), flags=re.MULTILINE).strip())
        assert entries
        assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_no_file_of_the_core_waits(root):
    """The core is pure; the linter of imports cannot see `async`."""
    files = list((root / "operator" / "forestall" / "core").rglob("*.py"))
    assert files
    assert [file.name for file in files if re.search(r"^\s*(async|await)\b", file.read_text(), re.MULTILINE)] == []


@pytest.mark.parametrize("folder", ["operator", "tests"])
def test_no_module_is_named_after_nothing(root, folder):
    """A module's name says what it is about."""
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "base_utils"}
    assert [str(file) for file in (root / folder).rglob("*.py") if file.stem in vague] == []
