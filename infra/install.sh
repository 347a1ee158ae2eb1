#!/bin/sh
# Makes .venv in the checkout and installs the pinned versions into it; says what to do where the machine lacks something.
set -eu

fail() {
    printf '\n%s\n' "$1" >&2
    exit 1
}

# A name on the PATH isn't enough: a version manager's shim answers to names it can't run.
for candidate in ${PYTHON:-} python3.11 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "${python:-}" ] || fail "Python 3.11 or newer is needed. On Debian: sudo apt-get install python3 python3-venv"

if ! [ -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    rm -rf .venv
    "$python" -m venv .venv || fail "Python's venv module is missing. On Debian: sudo apt-get install python3-venv"
fi

echo "Installing the pinned packages into .venv (a few minutes the first time) ..."
.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench,docs,ogc,server]' ||
    fail "The installation failed; the lines above say why. Run make again to go on."

# The wheels of these three bring everything but a system library each.
for module in lightgbm:libgomp1 rasterio:libexpat1 torch:libgomp1; do
    .venv/bin/python -c "import ${module%%:*}" ||
        fail "${module%%:*} can't be imported. On Debian: sudo apt-get install ${module##*:}"
done
touch .venv/.installed
