#!/bin/sh
# coord in one file: this program of the shell, then a zip archive that Python runs as it is.
# What the archive holds is unpacked once, as a virtual environment below the user's cache; from
# then on its commands are executed, as if they had been installed. See __main__.py.
python=$(command -v python3) || {
    echo "${0##*/}: python3: no such program; install Python 3.11 or later" >&2
    exit 69
}
name=${0##*/}
case $name in *.pyz) name= ;; esac
build=@BUILD@
# The places that __main__.py unpacks to, and only what is our own.
for home in "${XDG_CACHE_HOME:-${HOME:-/}/.cache}/coord/$build"-3.* "${TMPDIR:-/tmp}"/coord-*/$build-3.*; do
    if [ -O "$home" ] && [ "$home/bin/python" -ef "$python" ] && [ "$1" != link ]; then
        if [ -z "$name" ]; then
            name=coord
            case $1 in */* | '') ;; *) [ -x "$home/bin/$1" ] && name=$1 && shift ;; esac
        fi
        exec "$home/bin/$name" "$@"
    fi
done
exec "$python" "$0" "$@"
