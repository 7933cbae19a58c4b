#!/bin/sh
# Backs up a home folder while people work: backup.sh HOME FOLDER
# FOLDER gets the tags as errorscope.sqlite, if they are kept in the home folder, and the rest as home.tar.
# Results are left out: they are made anew when somebody asks. For PostgreSQL see postgresql.md.
set -eu
home=$1 to=$2
umask 077
mkdir -p "$to"
# The tags first: every bundle that they speak of is then in the archive, unless somebody removes it meanwhile.
if [ -f "$home/errorscope.sqlite" ]; then
    "${PYTHON:-python3}" - "$home/errorscope.sqlite" "$to/errorscope.sqlite.part" <<'END'
import contextlib, sqlite3, sys

with contextlib.closing(sqlite3.connect(sys.argv[1])) as source:
    with contextlib.closing(sqlite3.connect(sys.argv[2])) as copy:
        source.backup(copy)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
END
    mv "$to/errorscope.sqlite.part" "$to/errorscope.sqlite"
fi
# A bundle that is removed meanwhile is a file that vanished, of which tar warns with status 1.
status=0
tar -C "$home" --exclude=./cache --exclude=./uploads --exclude=./numba --exclude='./errorscope.sqlite*' \
    -cf "$to/home.tar.part" . || status=$?
[ "$status" -le 1 ]
mv "$to/home.tar.part" "$to/home.tar"
