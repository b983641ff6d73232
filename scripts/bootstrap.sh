#!/bin/sh
# Find a Python that the project runs on, and let it make the virtual environment. PYTHON=... chooses one.
set -eu
cd "$(dirname "$0")/.."
for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
    if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
        exec "$python" scripts/bootstrap.py
    fi
done
echo "forestall needs Python 3.11, 3.12, 3.13 or 3.14, and none of them runs here as ${PYTHON:-python3}." >&2
echo "Install one, or name it: make PYTHON=/path/to/python3.12" >&2
exit 1
