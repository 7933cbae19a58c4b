#!/bin/sh
# Puts a back-up of backup.sh into an empty home folder: restore.sh FOLDER HOME
# Stop the server first; run it as the server's user.
set -eu
from=$1 home=$2
umask 077
mkdir -p "$home"
if [ -n "$(ls -A "$home")" ]; then
    echo "restore.sh: $home must be empty: move what is there elsewhere first." >&2
    exit 2
fi
tar -C "$home" -xf "$from/home.tar"
if [ -f "$from/errorscope.sqlite" ]; then
    cp "$from/errorscope.sqlite" "$home/errorscope.sqlite"
fi
