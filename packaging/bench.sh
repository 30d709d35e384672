#!/usr/bin/env bash
# npm run bench [-- ARGUMENTS]: sets everything up, then measures against the plain directory and bindfs.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need git git
need bindfs bindfs
need tar tar
setup
node node_modules/typescript/bin/tsc -p packaging/tsconfig.bench.json
mkdir -p dist/bench-build
ln -sfn ../../native dist/bench-build/native # where src/core/native.ts looks for the addon
exec node dist/bench-build/bench/main.js "$@"
