#!/bin/sh
# Makes key.pem and cert.pem for Dask's scheduler, workers and Cropline alike, in a folder: `sh infra/certificates.sh FOLDER`.
# Who has the key can run programs on the workers: keep it as you keep a password. What is there already stays.
set -eu
folder=${1:?say in which folder}
mkdir -p "$folder"
umask 077
[ -f "$folder/cert.pem" ] && [ -f "$folder/key.pem" ] && exit
openssl req -x509 -newkey rsa:3072 -nodes -days 365 -subj /CN=cropline-dask \
    -keyout "$folder/key.pem" -out "$folder/cert.pem" 2>/dev/null
echo "$folder/key.pem and $folder/cert.pem are good for a year." >&2
