#!/bin/sh
# modules.sh: gets the Go modules that Squall and its tests need; does nothing where they are there. A module proxy that is
# away for a minute is waited for; the go command itself asks once. Exit codes: 0 they are there; 5 they could not be had;
# otherwise that of go, for what no waiting mends. The reason is on stderr.
set -u
go=${GO:-go} child=
away='dial tcp|i/o timeout|connection re|no such host|server misbehaving|TLS handshake|unexpected EOF|: EOF|proxyconnect|50[0-9] |network is unreachable|timed out'

say() { echo "modules: $*" >&2; }
log=$(mktemp) || exit 5
trap 'rm -f "$log"' EXIT
trap 'kill $child 2>/dev/null; exit 130' INT TERM

began=$(date +%s) n=0
for pause in 5 15 30 45 45 0; do
  n=$((n + 1))
  timeout -k 10 180 "$go" list -deps -test ./... >/dev/null 2>"$log" </dev/null &
  child=$!
  wait "$child" && exit 0
  code=$?
  say "try $n: exit status $code; go printed last:"
  tail -n 5 "$log" | sed 's/^/  /' >&2
  # 124 and 137 are timeout's own: go did not come to an end.
  [ "$code" -eq 124 ] || [ "$code" -eq 137 ] || grep -qE "$away" "$log" || exit "$code"
  if [ "$pause" -eq 0 ] || { [ "$n" -ge 3 ] && [ $(($(date +%s) - began + pause)) -gt 180 ]; }; then break; fi
  say "next try in $pause s"
  sleep "$pause"
done
say "the Go module proxy ($("$go" env GOPROXY)) must answer: try \`go mod download\`, then this again"
exit 5
