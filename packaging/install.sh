#!/usr/bin/env bash
# Puts the commands of this built checkout where the system looks for them, as root:
#   /usr/local/bin/globalfs     the command line
#   /sbin/mount.globalfs        so that mount -t globalfs and /etc/fstab work
# Both lead into this checkout; it must stay where it is. 'install.sh --uninstall' takes them away again.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

program=${DESTDIR:-}/usr/local/bin/globalfs
helper=${DESTDIR:-}/sbin/mount.globalfs
[ "$(id -u)" = 0 ] || [ -n "${DESTDIR:-}" ] || die "this writes to $program and $helper; run it as root"

case ${1:-} in
--uninstall)
  rm -f "$program" "$helper"
  say "removed $program and $helper; state directories are left alone"
  ;;
'')
  setup
  mkdir -p "$(dirname "$program")" "$(dirname "$helper")"
  # Node by its full path: mount(8) at boot has no user's PATH.
  printf '#!/bin/sh\nexec %q %q "$@"\n' "$(command -v node)" "$root/dist/cli/main.js" >"$program.new"
  chmod 755 "$program.new"
  mv "$program.new" "$program"
  install -m 755 packaging/mount.globalfs "$helper"
  say "installed $program and $helper"
  ;;
*) die "usage: install.sh [--uninstall]" ;;
esac
