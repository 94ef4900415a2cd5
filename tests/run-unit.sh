#!/bin/sh
# SPDX-License-Identifier: MIT
# Run unit tests, three at a time, for some wait; each one's output appears whole when it ends.
set -u
one() {
    log=$(mktemp)
    timeout 300 "$1" >"$log" 2>&1
    code=$?
    { echo "== $1"; cat "$log"; [ $code = 0 ] || echo "== $1 ended with $code"; }
    rm -f "$log"
    return $code
}
if [ "${1-}" = --one ]; then
    one "$2"
    exit $?
fi
printf '%s\n' "$@" | xargs -P 3 -n 1 sh "$0" --one
