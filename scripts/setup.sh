#!/usr/bin/env bash
# Makes or updates the environment in $1 from requirements.lock. TORCH=cpu takes PyTorch's own CPU wheels, where that index can be reached.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "error: $("$python" --version) at $(command -v "$python") is too old: Python 3.11 or newer is needed. Set PYTHON=/path/to/python3.11." >&2
    exit 1
}
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear "$venv" || {
        echo "error: cannot make a virtual environment. On Debian or Ubuntu: apt-get install python3-venv" >&2
        exit 1
    }
fi
[ -x "$venv/bin/uv" ] || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv>=0.9"

install=("$venv/bin/uv" pip install --python "$venv/bin/python" --compile-bytecode)
if [ "${TORCH:-pypi}" = cpu ]; then
    # The lock's hashes are of PyPI's files: here its versions count, without them.
    constraints=$(mktemp)
    trap 'rm -f "$constraints"' EXIT
    sed -E '/^ +--hash/d; s/ *\\$//' requirements.lock >"$constraints"
    "${install[@]}" --torch-backend cpu --constraint "$constraints" --group dev -e '.[parquet,evaluate,minilm,elasticsearch,aws,otel,bench]'
else
    "${install[@]}" --require-hashes -r requirements.lock
    "${install[@]}" --no-deps -e .
fi
