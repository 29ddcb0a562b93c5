#!/bin/sh
# with-services.sh COMMAND...: runs COMMAND with a throw-away PostgreSQL and NATS JetStream, both bound to the loopback,
# whose URLs are in SQUALL_TEST_DATABASE_URL and SQUALL_TEST_QUEUE_URL; removes both at the end, however it ends.
# The images are those that `squall images` (SQUALL_BINARY) makes.
set -eu
image() { "$SQUALL_BINARY" images 2>/dev/null | grep -o "squall/$1:[0-9a-f]*" | head -n 1; }
database= queue=
trap 'docker rm -fv $database $queue >/dev/null 2>&1 || true' EXIT
trap 'exit 130' INT TERM
database=$(docker run -d --label squall.run=with-services -p 127.0.0.1::5432 "$(image postgres)" sh -c '
  initdb -D /tmp/d -U postgres -A trust --no-sync >/dev/null && echo "host all all all trust" >> /tmp/d/pg_hba.conf &&
  exec postgres -D /tmp/d -c listen_addresses="*" -c unix_socket_directories=/tmp -c fsync=off -c max_connections=200')
conf=$(mktemp)
trap 'docker rm -fv $database $queue >/dev/null 2>&1 || true; rm -f "$conf"' EXIT
printf 'listen: 0.0.0.0:4222\njetstream { store_dir: /tmp/nats }\n' > "$conf"
queue=$(docker create --label squall.run=with-services -p 127.0.0.1::4222 "$(image nats)")
docker cp -q "$conf" "$queue:/nats.conf" >/dev/null
docker start "$queue" >/dev/null
port() { docker port "$1" "$2" | head -n 1 | sed 's/.*://'; }
tries=0
until docker exec "$database" pg_isready -q -h 127.0.0.1; do
  tries=$((tries + 1))
  if [ $tries -gt 120 ]; then docker logs "$database" >&2; echo "with-services: PostgreSQL did not come up" >&2; exit 5; fi
  sleep 0.5
done
SQUALL_TEST_DATABASE_URL=postgres://postgres@127.0.0.1:$(port "$database" 5432)/postgres?sslmode=disable
SQUALL_TEST_QUEUE_URL=nats://127.0.0.1:$(port "$queue" 4222)
export SQUALL_TEST_DATABASE_URL SQUALL_TEST_QUEUE_URL
"$@"
