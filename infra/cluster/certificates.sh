#!/bin/sh
# Makes key.pem and cert.pem, for scheduler, workers and Cropline alike, in a folder: `sh certificates.sh FOLDER`.
set -eu
folder=${1:?say in which folder}
mkdir -p "$folder"
umask 077
openssl req -x509 -newkey rsa:3072 -nodes -days 365 -subj /CN=cropline-dask \
    -keyout "$folder/key.pem" -out "$folder/cert.pem" 2>/dev/null
echo "$folder/key.pem and $folder/cert.pem are good for a year."
