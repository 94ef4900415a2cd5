#!/bin/sh
# SPDX-License-Identifier: MIT
# A folder is a process, and the linker proves it: what each program may not import.
set -u
build=${BUILD:-build}
failed=0
forbid() { # PROGRAM PATTERN WHY
    found=$(nm -D --undefined-only "$build/$1" | awk '{print $2}' | sed 's/@.*//' | grep -E "^($2)" | tr '\n' ' ')
    if [ -n "$found" ]; then
        echo "check-links: $1 imports $found($3)"
        failed=1
    fi
}
forbid supervisor 'sqlite3_|mg_|jwt_|EVP_|RAND_|json_|pthread_create$|getaddrinfo$' 'it owns processes and nothing else'
forbid sentinel 'mg_|jwt_|json_' 'it probes the database and nothing else'
forbid console 'sqlite3_|jwt_|EVP_|json_' 'it shows the region and nothing else'
forbid bulkheadctl 'sqlite3_|mg_|jwt_|EVP_' 'it reads the region and asks the supervisor'
forbid loadtest 'sqlite3_|mg_|jwt_|EVP_' 'it is a client'
forbid drill 'sqlite3_|mg_|jwt_|EVP_' 'it plays other programs with its own hands, and reads the region'
[ "$failed" = 0 ] && echo "check-links: every program imports only what is its business"
exit "$failed"
