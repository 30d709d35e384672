# Shared set-up of start.sh, test.sh and bench.sh: installs what is missing, builds what is out of date.
# To be sourced, with bash, from any directory. Quick when nothing is to be done.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

say() { printf 'globalfs: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# need PACKAGE COMMAND...: remembers the Debian package when one of its commands is missing.
missing_packages=()
need() {
  local package=$1 command
  shift
  for command in "$@"; do
    if ! command -v "$command" >/dev/null; then
      missing_packages+=("$package")
      return
    fi
  done
}

# Installs what `need` remembered; without the right to, says exactly what to run.
install_missing() {
  [ ${#missing_packages[@]} -gt 0 ] || return 0
  local packages="${missing_packages[*]}"
  missing_packages=()
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    die "missing: $packages; as root, run: apt-get update && apt-get install -y --no-install-recommends $packages"
  fi
  say "installing: $packages"
  # The package lists of a fresh machine may be absent or old: then fetch them and try again.
  # shellcheck disable=SC2086 # one word for each package
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null 2>&1 ||
    { apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null; } ||
    die "apt-get could not install: $packages; see its message above"
  # Debian starts the etcd that it installs, as a service; ours are started by whoever needs one.
  if [[ " $packages " == *' etcd-server '* ]] && [ -d /run/systemd/system ]; then
    systemctl disable --now --quiet etcd.service
  fi
}

check_node() {
  local version
  version=$(node -p 'process.versions.node') || die "Node is missing; install Node 20 or later"
  [ "${version%%.*}" -ge 20 ] || die "Node $version is too old; install Node 20 or later"
}

# One set-up at a time in this checkout: a second one waits, then finds everything done.
lock_setup() {
  exec 9<"$root/packaging/setup.sh"
  flock 9
}
unlock_setup() { exec 9>&-; }

# What node_modules was made from: the lock file, and Node's version for what is compiled for it.
modules_fingerprint() { { cat package-lock.json; node -p 'process.versions.modules + process.arch'; } | sha256sum; }

ensure_modules() {
  local stamp=node_modules/.globalfs-stamp fingerprint
  fingerprint=$(modules_fingerprint)
  [ "$(cat "$stamp" 2>/dev/null)" != "$fingerprint" ] || return 0
  say "installing Node packages (npm ci)"
  npm ci --no-audit --no-fund --loglevel=error >&2
  printf '%s\n' "$fingerprint" >"$stamp"
}

ensure_native() {
  if [ ! -e native/build/globalfs.node ] || [ -n "$(find native -maxdepth 1 -type f -newer native/build/globalfs.node -print -quit)" ]; then
    say "building the native addon"
    make -s -C native >&2
    touch native/build/globalfs.node
  fi
}

ensure_dist() {
  local stamp=dist/.built
  if [ ! -e "$stamp" ] || [ -n "$(find src tsconfig.json tsconfig.build.json -newer "$stamp" -print -quit)" ]; then
    say "compiling"
    local started
    started=$(mktemp) # sources that change while it compiles are compiled again next time
    node node_modules/typescript/bin/tsc -p tsconfig.build.json >&2 || {
      rm -f "$started"
      die "the sources do not compile; see the messages above"
    }
    chmod +x dist/cli/main.js
    touch -r "$started" "$stamp"
    rm -f "$started"
  fi
}

setup() {
  check_node
  need util-linux flock
  need fuse3 fusermount3
  need gcc cc
  [ -e /usr/include/stdio.h ] || missing_packages+=(libc6-dev)
  need make make
  install_missing
  lock_setup
  ensure_modules
  ensure_native
  ensure_dist
  unlock_setup
}
