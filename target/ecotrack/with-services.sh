#!/bin/sh
# with-services.sh COMMAND...: runs COMMAND with a throw-away PostgreSQL and NATS JetStream, both bound to the loopback,
# whose URLs are in SQUALL_TEST_DATABASE_URL and SQUALL_TEST_QUEUE_URL, and removes both at the end. After a SIGKILL the
# next one removes them, as does `squall recover`: they are a run like any other, with a lock that this process holds.
# The images are those that `squall images` (SQUALL_BINARY) makes. Exit code 5: the services did not come up.
set -eu
: "${SQUALL_BINARY:?must name a squall binary (make containers sets it)}"

work=$(mktemp -d "${TMPDIR:-/tmp}/squall-services.XXXXXX")
run=$(basename "$work" | tr 'A-Z.' 'a-z-')
locks=${TMPDIR:-/tmp}/squall-runs-$(id -u) # target/lock.go
containers=
clean() {
  [ -z "$containers" ] || docker rm -fv $containers >/dev/null 2>&1 || true
  rm -rf "$work" "$locks/$run.lock"
}
trap clean EXIT
trap 'exit 130' INT TERM
fail() { echo "with-services: $*" >&2; exit 5; }

mkdir -p -m 700 "$locks"
for lock in "$locks"/squall-services-*.lock; do
  [ -e "$lock" ] && flock -n "$lock" true || continue # none, or its process is alive
  docker ps -aq --filter "label=squall.run=$(basename "$lock" .lock)" | xargs -r docker rm -fv >/dev/null
  rm -f "$lock"
done
exec 9>"$work/lock"
flock -n 9 || fail "cannot lock $work/lock"
ln "$work/lock" "$locks/$run.lock" # named once it is locked, so that nobody takes this run for a killed one

"$SQUALL_BINARY" images >"$work/images" 2>"$work/log" || { cat "$work/log" >&2; fail "no images"; }
image() { awk -v name="$1" '$1 == name { print $2 }' "$work/images"; }
# port CONTAINER PORT: where it is on the loopback.
port() { docker port "$1" "$2" | head -n 1 | sed 's/.*://'; }
# await NAME CONTAINER COMMAND...: until COMMAND succeeds, for two minutes, as long as the container runs.
await() {
  name=$1 container=$2
  shift 2
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -gt 240 ] || [ "$(docker inspect -f '{{.State.Running}}' "$container")" != true ]; then
      docker logs --tail 20 "$container" >&2
      fail "$name did not come up; its last lines are above"
    fi
    sleep 0.5
  done
}
says_ready() { docker logs "$1" 2>&1 | grep -q 'Server is ready'; }

database=$(docker create --label "squall.run=$run" -p 127.0.0.1::5432 "$(image postgres)" sh -c '
  initdb -D /tmp/d -U postgres -A trust --no-sync >/dev/null && echo "host all all all trust" >> /tmp/d/pg_hba.conf &&
  exec postgres -D /tmp/d -c listen_addresses="*" -c unix_socket_directories=/tmp -c fsync=off -c max_connections=200')
containers=$database
docker start "$database" >/dev/null
queue=$(docker create --label "squall.run=$run" -p 127.0.0.1::4222 "$(image nats)")
containers="$database $queue"
printf 'listen: 0.0.0.0:4222\njetstream { store_dir: /tmp/nats }\n' >"$work/nats.conf"
docker cp "$work/nats.conf" "$queue:/nats.conf" >/dev/null 2>&1 || fail "cannot copy its configuration into NATS"
docker start "$queue" >/dev/null
await PostgreSQL "$database" docker exec "$database" pg_isready -q -h 127.0.0.1
await NATS "$queue" says_ready "$queue"

SQUALL_TEST_DATABASE_URL=postgres://postgres@127.0.0.1:$(port "$database" 5432)/postgres?sslmode=disable
SQUALL_TEST_QUEUE_URL=nats://127.0.0.1:$(port "$queue" 4222)
export SQUALL_TEST_DATABASE_URL SQUALL_TEST_QUEUE_URL
"$@"
