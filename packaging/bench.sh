#!/usr/bin/env bash
# npm run bench [-- ARGUMENTS]: sets everything up, then measures against the plain directory and bindfs.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need git git
need fio fio
need bindfs bindfs
need tar tar
setup
exec node bench/main.ts "$@"
