#!/bin/sh
# The connector on Linux and Unix.
#
#   koreconnector.sh start | stop | status      in the background
#   koreconnector.sh run                        in the foreground, for systemd and the like
#   koreconnector.sh check | version | audit …  as docs/connector says
#
# Needs no HOME, no terminal and no PATH beyond /bin:/usr/bin. KORE_CONNECTOR_NODE names the Node.js to use.
umask 027

self=$0
while [ -h "$self" ]; do
  link=$(readlink "$self") || exit 1
  case $link in
    /*) self=$link ;;
    *) self=$(dirname "$self")/$link ;;
  esac
done
home=$(CDPATH='' cd -- "$(dirname -- "$self")" && pwd -P) || exit 1

# The single executable, where it was put here, needs no Node.js.
if [ -x "$home/kore-connector" ] && [ ! -d "$home/kore-connector" ]; then
  exec "$home/kore-connector" "$@"
fi

# SECURITY: no home folder but the one that this installation lies in: its owner could change this file too.
list_nodes() {
  if [ -n "${KORE_CONNECTOR_NODE:-}" ]; then
    printf '%s\n' "$KORE_CONNECTOR_NODE"
    return
  fi
  printf '%s\n' "$home/node/bin/node"
  command -v node
  command -v nodejs
  printf '%s\n' /usr/local/bin/node /usr/bin/node /opt/node*/bin/node /usr/local/lib/nodejs/*/bin/node \
    "${home%/*}"/.nvm/versions/node/*/bin/node ${HOME:+"$HOME"/.nvm/versions/node/*/bin/node}
}

node=
refusal=
IFS='
'
for candidate in $(list_nodes); do
  if [ ! -x "$candidate" ] || [ -d "$candidate" ]; then continue; fi
  if said=$("$candidate" "$home/lib/check-node.js" 2>&1); then
    node=$candidate
    break
  fi
  case $said in
    'kore-connector needs '*) ;;
    *) said="kore-connector: $candidate does not run on this system: $(printf '%s\n' "$said" | head -n 1)" ;;
  esac
  [ -n "$refusal" ] || refusal=$said
done
unset IFS

if [ -z "$node" ]; then
  if [ -z "$refusal" ] && [ -n "${KORE_CONNECTOR_NODE:-}" ]; then
    refusal="kore-connector: KORE_CONNECTOR_NODE names $KORE_CONNECTOR_NODE, which is no program"
  fi
  printf '%s\n' "${refusal:-kore-connector needs Node.js and found none; see https://nodejs.org/en/download/}" >&2
  exit 1
fi
exec "$node" "$home/lib/kore-connector.js" "$@"
