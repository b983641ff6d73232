"""Make the virtual environment `.venv` with exactly the pinned packages; nothing is done when it is there already.

Uses the standard library alone: it runs before anything is installed.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / "forestall-stamp"
PYTHON = VENV / "bin" / "python"
PINS = ROOT / "constraints" / "dev.txt"
SAY_AGAIN_S = 15.0


def main() -> int:
    """Make or renew the environment and return the exit code."""
    stamp = _stamp()
    if STAMP.exists() and STAMP.read_text() == stamp and PYTHON.exists():
        return 0
    began = time.monotonic()
    print(f"Setting up {VENV} with {sys.executable} (Python {sys.version.split()[0]})", flush=True)
    # Compiling all modules of all packages would take as long as installing them; Python compiles what is imported.
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile"]
    STAMP.unlink(missing_ok=True)
    made = _make_venv() and all(
        (
            _step("Installing the pinned packages", [*pip, "--require-hashes", "-r", str(PINS)]),
            _step("Installing forestall", [*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)]),
        )
    )
    if not made:
        return 1
    STAMP.write_text(stamp)
    print(f"Ready after {time.monotonic() - began:.0f} s", flush=True)
    return 0


def _stamp() -> str:
    """Return what the environment depends on, in short."""
    digest = hashlib.sha256(f"{ROOT} {sys.version}".encode())
    for file in (ROOT / "pyproject.toml", PINS, Path(__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _make_venv() -> bool:
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return _step("Making the virtual environment", [sys.executable, "-m", "venv", "--clear", str(VENV)])
    pip = importlib.util.find_spec("pip")
    if importlib.util.find_spec("venv") and pip:
        # Some distributions leave ensurepip out. A pip that is there can install itself into the environment.
        bare = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)]
        into = [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", "pip"]
        return _step("Making the virtual environment", bare) and _step("Installing pip", into)
    print(
        f"{sys.executable} cannot make virtual environments: it lacks "
        f"{'ensurepip' if importlib.util.find_spec('venv') else 'venv'}.\n"
        "On Debian and Ubuntu: apt install python3-venv. Elsewhere: install a complete Python, "
        "and name it with make PYTHON=/path/to/python3.",
        file=sys.stderr,
    )
    return False


def _step(title: str, command: list[str]) -> bool:
    """Run a command and say how long it takes; return whether it worked, and show what it printed when it did not."""
    began = time.monotonic()
    over = threading.Event()

    def say() -> None:
        while not over.wait(SAY_AGAIN_S):
            print(f"  … {title} ({time.monotonic() - began:.0f} s{_installed()})", flush=True)

    talker = threading.Thread(target=say, daemon=True)
    talker.start()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    finally:
        over.set()
        talker.join()
    mark = "✓" if done.returncode == 0 else "✗"
    print(f"  {mark} {title} ({time.monotonic() - began:.1f} s)", flush=True)
    if done.returncode != 0:
        print(done.stdout, file=sys.stderr)
        print(f"`{' '.join(command)}` failed.{_hint(done.stdout)}", file=sys.stderr)
    return done.returncode == 0


def _installed() -> str:
    """Return how many of the pinned packages are there, which tells how far it is."""
    there = len(list(VENV.glob("lib*/python*/site-packages/*.dist-info")))
    pinned = sum("==" in line for line in PINS.read_text().splitlines())
    return f", {there} packages of about {pinned}" if there > 1 else ""


def _hint(printed: str) -> str:
    if "No space left on device" in printed:
        return f" The disk is full: {shutil.disk_usage(ROOT).free // 2**20} MiB are left."
    if "No matching distribution" in printed or "Could not find a version" in printed or "onnection" in printed:
        return " Is the package index reachable? pip's own settings (pip config) say which one is used."
    return ""


if __name__ == "__main__":
    sys.exit(main())
