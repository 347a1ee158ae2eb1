#!/bin/sh
# Writes constraints.txt from a fresh environment. torch is kept exact, without the local label of its build.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check '.[dev,bench,docs,ogc,server]'
{
    echo "# The versions that the tests ran with; made by: make constraints"
    "$folder/venv/bin/python" -m pip freeze --exclude cropline |
        grep -viE '^(nvidia-|cuda-|triton|pip|setuptools|wheel)' | sed -E 's/^(torch==[0-9.]+)\+.*/\1/'
} > constraints.txt
