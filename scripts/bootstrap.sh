#!/usr/bin/env bash
# Make, or find again, a private environment with the tool of this checkout, and tell where its model-ci is.
#
#   bash scripts/bootstrap.sh EXTRA...     extras of pyproject.toml, such as: train dvc
#
# INPUT_PYTHON_VERSION  version of Python; empty: the first on PATH from 3.11 on
# INPUT_REQUIREMENTS    requirements of the user's project; empty: requirements.txt of the working directory, if any
# MODEL_CI_ENV_DIR      where environments are kept; default: $RUNNER_TEMP/model-ci, else ~/.cache/model-ci
# GITHUB_OUTPUT         receives `path=...`; without it the path is printed
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
base=${MODEL_CI_ENV_DIR:-${RUNNER_TEMP:-$HOME/.cache}/model-ci}
python=${INPUT_PYTHON_VERSION:->=3.11}
requirements=${INPUT_REQUIREMENTS:-}
if [ -z "$requirements" ] && [ -f requirements.txt ]; then requirements=requirements.txt; fi
# a name that begins with a dash is a name still
case $requirements in "" | /*) ;; *) requirements=./$requirements ;; esac

fail() {
  printf 'bootstrap: %s\n' "$1" >&2
  exit 2
}

# A folder gets its name by one symbolic link, once it is whole: a kill leaves no half environment behind a name,
# and of two that build at once the second takes the first one's. (An environment cannot be moved into place.)
publish() {
  ln -sn "$1" "$2" 2>/dev/null || rm -rf "$1"
}

# A link whose folder is gone, swept away by a cleaner of temporary files, would never be replaced.
forget_if_dangling() {
  if [ -L "$1" ] && [ ! -e "$1" ]; then rm -f "$1"; fi
}

fingerprint() {
  local files
  files=$(cd "$checkout" && find pyproject.toml constraints.txt schemas scripts/model_ci -type f ! -name '*.pyc' | LC_ALL=C sort)
  {
    printf '%s\n' "$python" "$@" "$files"
    (cd "$checkout" && printf '%s\n' "$files" | git hash-object --no-filters --stdin-paths)
    if [ -n "$requirements" ]; then cat "$requirements"; fi
  } | git hash-object --stdin | cut -c 1-16
}

find_uv() {
  command -v uv && return
  local pin link built
  pin=$(sed -n '/^uv==/,/[^\\]$/p' "$checkout/constraints.txt")
  link=$base/uv-$(printf '%s' "$pin" | git hash-object --stdin | cut -c 1-16)
  forget_if_dangling "$link"
  if [ ! -x "$link/bin/uv" ]; then
    built=$(mktemp -d "$link.XXXXXX")
    printf '%s\n' "$pin" >"$built/pin.txt"
    python3 -I -m venv "$built" || fail "python3 cannot make a virtual environment; install python3-venv, or put uv on PATH"
    "$built/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$built/pin.txt" >&2
    publish "$built" "$link"
  fi
  printf '%s\n' "$link/bin/uv"
}

# The pins of constraints.txt are what the resolver prefers; what the user's requirements pin otherwise wins.
build() {
  local built=$1 extra wanted=("$checkout/pyproject.toml")
  shift
  for extra; do wanted+=(--extra "$extra"); done
  if [ -n "$requirements" ]; then wanted+=("$requirements"); fi
  "$uv" venv --quiet --python "$python" "$built"
  cp "$checkout/constraints.txt" "$built/lock.txt"
  "$uv" pip compile --quiet --no-header --generate-hashes --python "$built/bin/python" \
    --build-constraints "$checkout/constraints.txt" -o "$built/lock.txt" "${wanted[@]}" >/dev/null
  "$uv" pip install --quiet --no-deps --python "$built/bin/python" -r "$built/lock.txt"
  "$uv" pip install --quiet --no-deps --python "$built/bin/python" --refresh-package model-ci \
    --build-constraints "$checkout/constraints.txt" "$checkout"
}

if [ -n "$requirements" ] && [ ! -e "$requirements" ]; then
  fail "requirements: no such file: $requirements; it is looked for in $PWD"
fi
mkdir -p "$base"
base=$(cd "$base" && pwd)
link=$base/$(fingerprint "$@")
forget_if_dangling "$link"
if [ ! -x "$link/bin/model-ci" ]; then
  uv=$(find_uv)
  built=$(mktemp -d "$link.XXXXXX")
  trap 'rm -rf "$built"' EXIT
  build "$built" "$@"
  trap - EXIT
  publish "$built" "$link"
fi
path=$link/bin/model-ci
if [ -n "${GITHUB_OUTPUT:-}" ]; then printf 'path=%s\n' "$path" >>"$GITHUB_OUTPUT"; else printf '%s\n' "$path"; fi
