#!/usr/bin/env bash
# The step of action.yml: installs gelf-conformance, and runs it with the inputs of the action, which are environment
# variables here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
home=${RUNNER_TEMP:?}/gelf-conformance

cargo install --locked --quiet --path "$here" --profile suite --root "$home"
arguments=(--subject "${SUBJECT:?}" --all --fail-on "${FAIL_ON:-deviates}")
if [[ -n ${EXPECTATIONS:-} ]]; then arguments+=(--expectations "$EXPECTATIONS"); fi
if [[ -n ${FILTER:-} ]]; then arguments+=(--filter "$FILTER"); fi
if [[ -n ${JUNIT:-} ]]; then arguments+=(--report "junit=$JUNIT"); fi
exec "$home/bin/gelf-conformance" run "${arguments[@]}"
