#!/bin/sh
# Makes what compose.yaml takes from the folder `secrets` beside it: passwords and keys drawn here, each in a file. What is there stays.
# The folder is closed to other users; the files in it are not, since containers read them as another user.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets

drawn() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
put() { # NAME: what is written comes on standard input
    cat >"secrets/.$1"
    chmod 444 "secrets/.$1"
    mv "secrets/.$1" "secrets/$1"
}
kept() { [ -f "secrets/$1" ]; }

# Addresses hold passwords: each is made with its own.
if ! kept CROPLINE_DATABASE; then
    password=$(drawn)
    printf '%s\n' "$password" | put database-password
    printf 'postgresql://cropline:%s@database:5432/cropline\n' "$password" | put CROPLINE_DATABASE
fi
if ! kept CROPLINE_REDIS; then
    password=$(drawn)
    put redis.conf <<END
requirepass $password
dir /data
appendonly yes
save ""
maxmemory 1gb
# Events that wait are refused, never forgotten, where they fill the memory.
maxmemory-policy noeviction
END
    printf 'redis://:%s@redis:6379/0\n' "$password" | put CROPLINE_REDIS
fi
kept AWS_ACCESS_KEY_ID || drawn | put AWS_ACCESS_KEY_ID
kept AWS_SECRET_ACCESS_KEY || drawn | put AWS_SECRET_ACCESS_KEY
kept PREFECT_API_AUTH_STRING || printf 'cropline:%s\n' "$(drawn)" | put PREFECT_API_AUTH_STRING
sh ../certificates.sh secrets
chmod 444 secrets/key.pem secrets/cert.pem
