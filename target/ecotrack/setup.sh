#!/bin/sh
# setup.sh: gets mmdebstrap, with which `squall images` makes the base image where no registry can be reached.
# Does nothing where the image or mmdebstrap is there, or a registry gives the image. A network that is away for a minute is
# waited for. Exit codes: 0 ready; 5 mmdebstrap is needed and could not be had, the reason is on stderr.
set -u
base=debian:trixie-slim log= child=

say() { echo "setup: $*" >&2; }
stop() { say "$*"; exit 5; }

# limited SECONDS COMMAND...: ends the command and its children after that, or when this script is interrupted: a shell
# hears a signal while it waits for a background process, and only then.
limited() {
  timeout -k 10 "$@" >"$log" 2>&1 </dev/null &
  child=$!
  wait "$child"
}

# apt WHAT ARGUMENTS...: tries apt-get ARGUMENTS. The growing pauses outlast a minute also when it fails at once; after
# three tries none begins later than three minutes after the first. Returns 1 when it failed for good.
apt() {
  what=$1; shift
  began=$(date +%s) n=0
  for pause in 5 15 30 45 45 0; do
    n=$((n + 1))
    say "$what, try $n"
    # An interrupted dpkg refuses everything until it has finished that; otherwise this does nothing.
    limited 120 dpkg --configure -a || say "dpkg --configure -a: exit status $?"
    limited 180 apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 -o Acquire::http::Timeout=20 \
      -o Acquire::https::Timeout=20 -o APT::Update::Error-Mode=any "$@" && return 0
    say "$what, try $n: exit status $?; it printed last:"
    tail -n 5 "$log" | sed 's/^/  /' >&2
    if grep -qi 'no space left on device\|enough free space' "$log"; then
      stop "the disk is full: make room, for instance with \`apt-get clean\`"
    fi
    if [ "$pause" -eq 0 ]; then return 1; fi
    if [ "$n" -ge 3 ] && [ $(($(date +%s) - began + pause)) -gt 180 ]; then return 1; fi
    say "next try in $pause s"
    sleep "$pause"
  done
}

# No daemon: `squall images` says so better.
timeout 20 docker version >/dev/null 2>&1 || exit 0
if docker image inspect "$base" >/dev/null 2>&1 || command -v mmdebstrap >/dev/null; then exit 0; fi
say "asking the registry for $base"
if timeout 20 docker pull -q "$base" >/dev/null 2>&1; then exit 0; fi

say "no registry answered: mmdebstrap is needed, which makes $base from Debian's package mirror"
command -v apt-get >/dev/null ||
  stop "there is no apt-get here: install mmdebstrap, or \`docker pull $base\` where a registry answers"
[ "$(id -u)" -eq 0 ] || stop "not root: run \`sudo apt-get install mmdebstrap\`, then this again"
log=$(mktemp) || exit 5
trap 'rm -f "$log"' EXIT
trap 'kill $child 2>/dev/null; exit 130' INT TERM
export DEBIAN_FRONTEND=noninteractive
away="could not be done: the package mirror (/etc/apt/sources.list*) must answer: try \`apt-get update\`, then this again"
apt "apt-get update" update || stop "apt-get update $away"
apt "apt-get install mmdebstrap" install -y mmdebstrap || stop "apt-get install mmdebstrap $away"
say "mmdebstrap is installed"
