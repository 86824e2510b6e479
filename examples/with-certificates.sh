#!/bin/sh
# usage: with-certificates.sh PROGRAM [ARGUMENT]...
# Runs the program with one more argument: a directory with a certificate and its key for a server, localhost, and for a
# client, each signed by itself. For TLS between programs that know each other, who trust just these certificates.
set -eu
if ! command -v openssl > /dev/null; then
  echo "The program openssl is not there" >&2
  exit 77
fi

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
for name in server client; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$name" \
    -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" -keyout "$directory/$name.key" -out "$directory/$name.pem" 2> /dev/null
done
"$@" "$directory"
