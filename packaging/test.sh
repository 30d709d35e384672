#!/usr/bin/env bash
# npm test [-- JEST ARGUMENTS]: sets everything up, then runs every check and every test. All of them run,
# also after a failure. The last line is 'N passed, N failed': the tests, and each check that failed.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

# The tests run real programs on real mounts.
need git git
need rsync rsync
need attr setfattr getfattr
need acl setfacl getfacl
need sqlite3 sqlite3
need fio fio
need bindfs bindfs
need strace strace
need procps ps
need openssl openssl
need etcd-server etcd
need etcd-client etcdctl
need radosgw radosgw
need ceph-mon ceph-mon
need ceph-osd ceph-osd
need ceph-common ceph radosgw-admin
trap 'echo "0 passed, 1 failed"' EXIT # until the tests have results of their own
setup

failed_checks=()
check() {
  local name=$1
  shift
  say "check: $name"
  "$@" || failed_checks+=("$name")
}
bin() { node "node_modules/$1" "${@:2}"; }

check types bin typescript/bin/tsc --noEmit
check lint bin eslint/bin/eslint.js .
check format bin prettier/bin/prettier.cjs --check --log-level warn .
check 'unused code' bin knip/bin/knip.js

say 'tests'
results=$(mktemp -d)
node --experimental-vm-modules --no-warnings node_modules/jest/bin/jest.js \
  --json --outputFile="$results/jest.json" "$@" || true

if [ ${#failed_checks[@]} -gt 0 ]; then
  printf 'check failed: %s\n' "${failed_checks[@]}"
fi
trap 'rm -rf "$results"' EXIT
node packaging/test-summary.mjs "$results/jest.json" "${#failed_checks[@]}"
