#!/usr/bin/env bash
# npm run bench [-- ARGUMENTS]: sets everything up, then measures against the plain directory and bindfs, and a
# cluster against what it is made of.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need git git
need bindfs bindfs
need tar tar
if [[ " $* " != *' node '* ]]; then # the cluster's too
  need etcd-server etcd
  need radosgw radosgw
  need ceph-mon ceph-mon
  need ceph-osd ceph-osd
  need ceph-common ceph radosgw-admin
  need rclone rclone
fi
setup
node node_modules/typescript/bin/tsc -p packaging/tsconfig.bench.json
mkdir -p dist/bench-build
ln -sfn ../../native dist/bench-build/native # where src/core/native.ts looks for the addon
exec node dist/bench-build/bench/main.js "$@"
