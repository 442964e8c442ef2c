#!/usr/bin/env bash
# Installs the reconciler from the commit that this script comes from, into a folder of the job; once a job.
# Only what requirements.lock names is installed, hash by hash and as wheels, so nothing runs before it was compared.
set -euo pipefail

source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)
home="$RUNNER_TEMP/reconciler-tool"
if [ ! -x "$home/bin/reconciler-loop" ]; then
  "${PYTHON:-python3}" -m venv --clear "$home"
  "$home/bin/python" -m pip --quiet --no-input --disable-pip-version-check install \
    --require-hashes --only-binary :all: --requirement "$source/requirements.lock"
  packages=$("$home/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  printf '%s\n' "$source" "$source/.github/actions/reconciler" > "$packages/reconciler-tool.pth"
  # -I: neither the checkout that is worked in nor the environment has a say in which code is run.
  for program in reconciler:reconciler reconciler-loop:loop; do
    printf '#!/bin/sh\nexec "%s/bin/python" -I -m %s "$@"\n' "$home" "${program#*:}" > "$home/bin/${program%:*}"
    chmod +x "$home/bin/${program%:*}"
  done
fi
echo "path=$home/bin" >> "$GITHUB_OUTPUT"
