# Sourced by the other scripts: a PostgreSQL and a Redis for one run, in a temporary folder that is deleted at the end.
# The caller sets `logs`, the folder for the servers' logs, and calls `prepare_services` first.

scratch=
servers=()

# Creates the folder, and stops everything when the script ends.
prepare_services() {
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/telepath.XXXXXX")
  # The user that PostgreSQL runs as needs access.
  chmod 755 "$scratch"
  mkdir -p "$logs"
  trap cleanup EXIT
  trap 'exit 130' INT TERM
}

# Stops what this run started, by process id, and removes its folder.
cleanup() {
  local pid
  for pid in "${servers[@]}"; do
    kill -INT "$pid" 2>/dev/null || true
  done
  for pid in "${servers[@]}"; do
    wait "$pid" 2>/dev/null || true
  done
  [[ -z $scratch ]] || rm -rf -- "$scratch"
}

# The folder of PostgreSQL's programs, which Debian keeps out of PATH.
postgres_programs() {
  if command -v initdb >/dev/null && command -v postgres >/dev/null; then
    # The other programs are in the folder that the link points to.
    dirname "$(readlink --canonicalize "$(command -v initdb)")"
  else
    find /usr/lib/postgresql -path '*/bin/initdb' -printf '%h\n' 2>/dev/null | sort -V | tail -n 1
  fi
}

# The library with which tests set the clock of a Redis.
faketime_library() {
  find /usr/lib /usr/local/lib -name libfaketime.so.1 -path '*faketime*' -print -quit 2>/dev/null
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
  local port
  for _ in {1..50}; do
    port=$((20000 + RANDOM % 12000))
    if port_is_free "$port"; then echo "$port"; return; fi
  done
  printf 'no free port found\n' >&2
  return 1
}

# PostgreSQL refuses to run as root, so as root it runs as an unprivileged user.
start_postgres() {
  local bin port as=() owner=
  bin=$(postgres_programs)
  port=$(free_port)
  postgres_password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
  mkdir "$scratch/postgres"
  if [[ $(id -u) == 0 ]]; then
    owner=nobody
    ! getent passwd postgres >/dev/null || owner=postgres
    as=(setpriv "--reuid=$owner" "--regid=$(id -g "$owner")" --clear-groups --)
    chown "$owner" "$scratch/postgres"
  fi
  printf '%s\n' "$postgres_password" >"$scratch/postgres.password"
  [[ -z $owner ]] || chown "$owner" "$scratch/postgres.password"
  (cd "$scratch/postgres" && "${as[@]}" "$bin/initdb" --pgdata="$scratch/postgres/data" --username=telepath \
    --auth=scram-sha-256 --pwfile="$scratch/postgres.password" --encoding=UTF8 --locale=C --no-sync) \
    >"$logs/postgres-initdb.log" 2>&1
  rm -f -- "$scratch/postgres.password"
  (cd "$scratch/postgres" && exec "${as[@]}" "$bin/postgres" -D "$scratch/postgres/data" -p "$port" \
    -c listen_addresses=127.0.0.1 -c "unix_socket_directories=$scratch/postgres" \
    -c fsync=off -c full_page_writes=off -c max_connections=200) >"$logs/postgres.log" 2>&1 &
  servers+=("$!")
  export TELEPATH_TEST_POSTGRES_URL="postgres://telepath:$postgres_password@127.0.0.1:$port/postgres"
  export PATH="$PATH:$bin"
  wait_for postgres "$bin/pg_isready" --quiet --host=127.0.0.1 --port="$port"
}

start_redis() {
  local port
  port=$(free_port)
  mkdir "$scratch/redis"
  redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$scratch/redis" \
    >"$logs/redis.log" 2>&1 &
  servers+=("$!")
  export TELEPATH_TEST_REDIS_URL="redis://127.0.0.1:$port"
  TELEPATH_TEST_FAKETIME=$(faketime_library)
  export TELEPATH_TEST_FAKETIME
  wait_for redis redis-cli -p "$port" ping
}

# wait_for NAME COMMAND…: waits until the command succeeds, at most 30 seconds.
wait_for() {
  local name=$1
  shift
  for _ in {1..300}; do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  printf '%s did not start:\n' "$name" >&2
  tail -n 20 "$logs/$name.log" >&2
  exit 1
}
