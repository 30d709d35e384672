#!/usr/bin/env bash
# npm start [-- DIR]: installs and builds what is missing, then mounts in the foreground.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
called_from=${INIT_CWD:-$PWD} # npm runs scripts in the package's folder, and says where it was called

directory=${1:-}
[ $# -eq 0 ] || shift
case $directory in
'')
  directory=/globalfs
  if [ "$(id -u)" != 0 ] && [ ! -w / ] && [ ! -w /globalfs ]; then directory=$HOME/globalfs; fi
  ;;
-*) die "usage: npm start [-- DIR [options of 'globalfs mount']]" ;;
/*) ;;
*) directory=$called_from/$directory ;;
esac

setup
exec node dist/cli/main.js mount -f "$@" "$directory"
