#!/bin/sh
# The first program of a container: becomes the command that follows, with secrets in its environment.
#
# Each file of /run/secrets (or CROPLINE_SECRETS) that has a variable's name, such as AWS_SECRET_ACCESS_KEY, sets that variable to its first
# line, unless it is set. No command line, image or compose file holds what is in them.
set -eu

for file in "${CROPLINE_SECRETS:-/run/secrets}"/*; do
    name=${file##*/}
    case $name in
        [!A-Z]* | *[!A-Z0-9_]*) continue ;; # a file that a program reads by itself
    esac
    [ -f "$file" ] || continue
    if [ ! -r "$file" ]; then
        printf '%s can not be read by the user %s. Let it be read by others, in a folder that they can not enter.\n' "$file" "$(id -u)" >&2
        exit 1
    fi
    if ! printenv "$name" >/dev/null; then
        IFS= read -r value <"$file" || [ -n "$value" ]
        export "$name=$value"
    fi
done

# Words that charts have built in. What follows Prefect's, Cropline's worker knows better; Dask's programs once had names of their own.
if [ "${1-} ${2-} ${3-}" = "prefect worker start" ]; then
    set -- cropline up --foreground worker --api "${PREFECT_API_URL:?where does the server answer?}" --health 8080
fi
case ${1-} in
    dask-scheduler | dask-worker)
        program=${1#dask-}
        shift
        set -- dask "$program" "$@"
        ;;
esac
exec "$@"
