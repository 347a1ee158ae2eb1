#!/usr/bin/env bash
# PostgreSQL and Redis for the server of `cropline up`, as processes of a folder of their own:
#
#   bash infra/services.sh start FOLDER [--postgresql-port N] [--redis-port N]
#   . FOLDER/environment && cropline up
#   bash infra/services.sh status FOLDER        (0: both run; 3: not both)
#   bash infra/services.sh environment FOLDER   (what `cropline up` needs, with the passwords)
#   bash infra/services.sh stop FOLDER
#
# Debian's programs are taken; its services and everything below /etc stay as they are. Both listen on 127.0.0.1 only and ask for a
# password that is made at the first start. Each command may be repeated from any state, also after a crash. Root becomes `postgres`.
set -euo pipefail
umask 077

usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
}

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

note() { printf '%s\n' "$1" >&2; }

# ---- what is asked ----

[ $# -ge 2 ] || usage
command=$1
given=$2
shift 2
postgresql_wanted='' redis_wanted=''
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    [[ $2 =~ ^[0-9]{1,5}$ ]] && [ "$2" -ge 1 ] && [ "$2" -le 65535 ] || fail "$1 $2: no port. Give a number from 1 to 65535."
    case $1 in
        --postgresql-port) postgresql_wanted=$2 ;;
        --redis-port) redis_wanted=$2 ;;
        *) usage ;;
    esac
    shift 2
done
case $command in start | stop | status | environment) ;; *) usage ;; esac
[ "$command" = start ] || [ -d "$given" ] || {
    [ "$command" = stop ] && { note 'nothing runs'; exit 0; }
    [ "$command" = status ] && { note "no folder $given: nothing was started there"; exit 3; }
    fail "no folder $given. Make it: bash infra/services.sh start $given"
}

# ---- programs, folder, user ----

mkdir_open() { (umask 022 && mkdir -p "$1"); } # the user postgres has to get through
mkdir_open "$given" 2>/dev/null || fail "can't make the folder $given. Give one that you may write."
folder=$(cd "$given" && pwd -P)
data=$folder/postgresql/data
redis=$folder/redis
[ -w "$folder" ] || fail "can't write $folder. Give a folder of your own."

as_owner() { "$@" 9>&-; } # the lock is no child's: it would keep it
if [ "$(id -u)" = 0 ]; then
    id postgres >/dev/null 2>&1 || fail 'PostgreSQL is missing. On Debian: apt-get install -y postgresql redis-server'
    as_owner() { (cd / && exec runuser -u postgres -- "$@") 9>&-; }
    as_owner test -x "$folder" ||
        fail "the user postgres, who runs them for root, can't enter $folder. Give a folder that others may enter, such as one below /srv."
fi

postgresql=''
# shellcheck disable=SC2043  # a pattern that the shell fills in
for bin in /usr/lib/postgresql/"$([ -f "$data/PG_VERSION" ] && cat "$data/PG_VERSION" || echo '*')"/bin; do :; done
for bin in $(printf '%s\n' $bin | sort -V); do
    [ -x "$bin/postgres" ] && postgresql=$bin
done
if [ -z "$postgresql" ]; then
    if [ -f "$data/PG_VERSION" ]; then
        version=$(cat "$data/PG_VERSION")
        fail "$data was made by PostgreSQL $version, which is not installed. On Debian: apt-get install -y postgresql-$version"
    fi
    fail 'PostgreSQL is missing. On Debian: apt-get install -y postgresql redis-server'
fi
command -v redis-server redis-cli >/dev/null || fail 'Redis is missing. On Debian: apt-get install -y postgresql redis-server'
command -v psql >/dev/null || fail "PostgreSQL's client is missing. On Debian: apt-get install -y postgresql-client"

exec 9>"$folder/.lock"
flock 9

# ---- what lasts from start to start ----

postgresql_password='' redis_password='' postgresql_port='' redis_port=''
# shellcheck source=/dev/null
[ -f "$folder/kept" ] && . "$folder/kept"

keep() {
    cat >"$folder/kept.new" <<END
postgresql_password=$postgresql_password
redis_password=$redis_password
postgresql_port=$postgresql_port
redis_port=$redis_port
END
    cat >"$folder/environment.new" <<END
export CROPLINE_DATABASE=postgresql://cropline:$postgresql_password@127.0.0.1:$postgresql_port/cropline
export CROPLINE_REDIS=redis://:$redis_password@127.0.0.1:$redis_port/0
END
    mv "$folder/kept.new" "$folder/kept"
    mv "$folder/environment.new" "$folder/environment"
}

password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# ---- ports ----

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The port that was asked for, else that of before, else the first free one; never `$4`, the other one's.
port_for() {
    local name=$1 wanted=$2 before=$3 other=$4 usual=$5 port
    if [ -n "$wanted" ]; then
        [ "$wanted" != "$other" ] && ! taken "$wanted" || fail "port $wanted is taken. Name another with --$name-port, or leave it out."
        echo "$wanted"
        return
    fi
    for port in $before $(seq "$usual" $((usual + 200))); do
        if [ "$port" != "$other" ] && ! taken "$port"; then
            echo "$port"
            return
        fi
    done
    fail "no port from $usual to $((usual + 200)) is free. Name one with --$name-port."
}

# ---- processes ----

# Processes of a program whose working folder is ours: a number in a file may be another's by now, or of one that has ended.
processes() {
    local comm name process
    for comm in /proc/[0-9]*/comm; do
        { read -r name <"$comm"; } 2>/dev/null && [ "$name" = "$1" ] || continue
        process=${comm%/comm} process=${process#/proc/}
        if [ "$(readlink "/proc/$process/cwd")" = "$2" ]; then echo "$process"; fi
    done
}

# Wait for the end of all of them, a minute at most.
gone() {
    for _ in $(seq 240); do
        [ -n "$(processes "$1" "$2")" ] || return 0
        sleep 0.25
    done
    return 1
}

# ---- PostgreSQL ----

# The first of them, which the others end with.
postgresql_runs() {
    local first
    [ -f "$data/postmaster.pid" ] && first=$(head -n 1 "$data/postmaster.pid") && grep -qx "$first" <<<"$(processes postgres "$data")"
}

postgresql_answers() {
    PGPASSWORD=$postgresql_password PGCONNECT_TIMEOUT=10 \
        psql -X -w -q -h 127.0.0.1 -p "$postgresql_port" -U cropline -d cropline -c 'SELECT 1' >/dev/null 2>&1
}

postgresql_log() { tail -n 12 "$folder/postgresql/log" >&2 || true; }

# Statements without a server: nobody needs a superuser's password, and none is ever on a command line.
alone() {
    as_owner "$postgresql/postgres" --single -D "$data" -c log_min_error_statement=panic postgres 2>>"$folder/postgresql/log.alone"
}

make_database() {
    if ! [ -d "$data" ]; then
        rm -rf "$data.new"
        as_owner "$postgresql/initdb" -D "$data.new" --username=postgres --auth=reject --encoding=UTF8 --locale=C.UTF-8 \
            --no-instructions >"$folder/postgresql/initdb.log" 2>&1 || {
            cat "$folder/postgresql/initdb.log" >&2
            fail "PostgreSQL can't make a database in $data; the lines above say why."
        }
        as_owner mv "$data.new" "$data" # whole or absent
    fi
    printf 'host cropline cropline 127.0.0.1/32 scram-sha-256\n' | as_owner tee "$data/pg_hba.conf" >/dev/null
    local there
    there=$(
        printf '%s\n' \
            "DO \$\$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cropline') THEN CREATE ROLE cropline LOGIN; END IF; END \$\$" \
            "ALTER ROLE cropline PASSWORD '$postgresql_password'" \
            "SELECT datname FROM pg_database WHERE datname = 'cropline'" | alone
    ) || {
        tail -n 5 "$folder/postgresql/log.alone" >&2
        fail "PostgreSQL can't open $data; the lines above say why."
    }
    grep -q 'datname = "cropline"' <<<"$there" || printf 'CREATE DATABASE cropline OWNER cropline\n' | alone >/dev/null
}

start_postgresql() {
    if postgresql_runs; then
        postgresql_port=$(sed -n 4p "$data/postmaster.pid")
        if [ "${postgresql_wanted:-$postgresql_port}" = "$postgresql_port" ] && postgresql_answers; then
            return
        fi
        stop_postgresql
    fi
    gone postgres "$data" || fail "processes of a PostgreSQL that ended still work in $data. End them, then start again."
    rm -f "$data/postmaster.pid" # of one that was killed
    make_database
    local attempt
    for attempt in 1 2 3 4 5; do # another program may take a free port before it is used
        postgresql_port=$(port_for postgresql "$postgresql_wanted" "$postgresql_port" "$redis_port" 5433)
        keep
        if as_owner "$postgresql/pg_ctl" start -D "$data" -w -t 120 -l "$folder/postgresql/log" \
            -o "-c listen_addresses=127.0.0.1 -c port=$postgresql_port -c unix_socket_directories=" >/dev/null 2>&1; then
            break
        fi
        taken "$postgresql_port" && [ -z "$postgresql_wanted" ] && [ "$attempt" -lt 5 ] || {
            postgresql_log
            fail "PostgreSQL did not start; the lines above, the end of $folder/postgresql/log, say why."
        }
    done
    postgresql_answers || {
        postgresql_log
        fail "PostgreSQL runs and lets nobody in; the lines above, the end of $folder/postgresql/log, may say why."
    }
}

stop_postgresql() {
    postgresql_runs || return 0
    as_owner "$postgresql/pg_ctl" stop -D "$data" -m fast -w -t 120 >/dev/null ||
        fail "PostgreSQL doesn't stop; the end of $folder/postgresql/log may say why."
}

# ---- Redis ----

redis_asks() { REDISCLI_AUTH=$redis_password timeout 10 redis-cli -h 127.0.0.1 -p "${redis_port:-0}" "$@" 2>/dev/null; }

configure_redis() {
    as_owner tee "$redis/redis.conf" >/dev/null <<END
bind 127.0.0.1
port $redis_port
requirepass $redis_password
daemonize yes
dir "$redis"
pidfile "$redis/pid"
logfile "$redis/log"
# Events that wait survive a crash but for its last second, and are refused, never evicted, where they fill the memory.
appendonly yes
save ""
maxmemory 1gb
maxmemory-policy noeviction
END
    as_owner chmod 600 "$redis/redis.conf"
}

start_redis() {
    if [ -n "$(processes redis-server "$redis")" ]; then
        if [ "${redis_wanted:-$redis_port}" = "$redis_port" ] && [ "$(redis_asks ping)" = PONG ]; then
            return
        fi
        stop_redis
    fi
    local attempt
    for attempt in 1 2 3 4 5; do # another program may take a free port before it is used
        redis_port=$(port_for redis "$redis_wanted" "$redis_port" "$postgresql_port" 6380)
        keep
        configure_redis
        as_owner redis-server "$redis/redis.conf" >/dev/null || true
        for _ in $(seq 240); do
            [ "$(redis_asks ping)" != PONG ] || return 0
            sleep 0.25
            [ -n "$(processes redis-server "$redis")" ] || break
        done
        taken "$redis_port" && [ -z "$(processes redis-server "$redis")" ] && [ -z "$redis_wanted" ] && [ "$attempt" -lt 5 ] || {
            tail -n 12 "$redis/log" >&2 || true
            fail "Redis did not start; the lines above, the end of $redis/log, say why."
        }
    done
}

stop_redis() {
    local process
    for process in $(processes redis-server "$redis"); do
        kill "$process" # it writes what it holds, then ends
    done
    gone redis-server "$redis" || fail "Redis doesn't stop; the end of $redis/log may say why."
}

# ---- commands ----

state() { if "$2"; then printf '%-10s  127.0.0.1:%s\n' "$1" "$3" >&2; else note "$(printf '%-10s  does not run' "$1")"; fi; }
redis_answers() { [ "$(redis_asks ping)" = PONG ]; }
both() {
    state postgresql postgresql_answers "$postgresql_port"
    state redis redis_answers "$redis_port"
}

case $command in
    start)
        for part in "$folder/postgresql" "$redis"; do
            mkdir -p "$part"
            if [ "$(id -u)" = 0 ]; then chown postgres: "$part"; fi
        done
        postgresql_password=${postgresql_password:-$(password)}
        redis_password=${redis_password:-$(password)}
        start_postgresql
        start_redis
        keep
        both
        note "for \`cropline up\`:  . $folder/environment"
        ;;
    stop)
        stop_redis
        stop_postgresql
        both
        ;;
    status)
        both
        postgresql_answers && redis_answers || exit 3
        ;;
    environment)
        [ -f "$folder/environment" ] || fail "nothing was started in $folder. First: bash infra/services.sh start $folder"
        cat "$folder/environment"
        ;;
esac
