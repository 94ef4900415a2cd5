#!/bin/sh
# SPDX-License-Identifier: MIT
# Run unit tests, four at a time: they wait more than they compute. Each one's output appears whole when
# it ends. What failed beside others is run once more, alone: is it the machine or the code?
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
    one "$2" || { echo "$2" >>"$3"; exit 1; }
    exit 0
fi
failed=$(mktemp)
trap 'rm -f "$failed"' EXIT
printf '%s\n' "$@" | xargs -P 4 -I '{}' sh "$0" --one '{}' "$failed" && exit 0
code=0
for test in $(cat "$failed"); do
    echo "== $test failed beside others; once more, alone"
    one "$test" || code=1
done
exit $code
