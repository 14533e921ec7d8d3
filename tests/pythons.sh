#!/usr/bin/env bash
# Run the test suite on several Pythons: those given, else every python3.N >= 3.11 on PATH.
# Each gets an environment of its own below .venv-pythons/. Fails if the suite fails on any.
set -euo pipefail
cd "$(dirname "$0")/.."

usable() { "$1" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

if [ $# -gt 0 ]; then
  candidates=("$@")
else
  candidates=()
  for minor in $(seq 11 30); do candidates+=("python3.$minor"); done
fi

declare -A found=()
for python in "${candidates[@]}"; do
  if usable "$python"; then
    found[$(version "$python")]=$python
  elif [ $# -gt 0 ]; then
    echo "test-pythons: $python: not a Python of version 3.11 or later with venv" >&2
    exit 2
  fi
done
if [ ${#found[@]} -eq 0 ]; then
  echo "test-pythons: no Python of version 3.11 or later on PATH; name some: make test-pythons PYTHONS='/opt/python3.12/bin/python3'" >&2
  exit 2
fi

failed=()
for name in $(printf '%s\n' "${!found[@]}" | sort -V); do
  home=.venv-pythons/$name
  echo "== Python $name (${found[$name]})"
  [ -x "$home/bin/python" ] || "${found[$name]}" -m venv "$home"
  "$home/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[test]'
  "$home/bin/python" -m pytest --numprocesses auto ${PYTEST_ARGS:-} || failed+=("$name")
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "test-pythons: failed on Python ${failed[*]}" >&2
  exit 1
fi
