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
# The same of functions of ours that are linked in.
forbid_inside() { # PROGRAM PATTERN WHY
    found=$(nm --defined-only "$build/$1" | awk '{print $3}' | grep -E "^($2)" | tr '\n' ' ')
    if [ -n "$found" ]; then
        echo "check-links: $1 has $found($3)"
        failed=1
    fi
}
forbid supervisor 'sqlite3_|mg_|jwt_|EVP_|RAND_|json_|pthread_create$|getaddrinfo$' 'it owns processes and nothing else'
forbid sentinel 'mg_|jwt_|json_' 'it probes the database and nothing else'
forbid console 'jwt_|EVP_|json_' 'it shows the region and remembers it, and nothing else'
forbid_inside console 'db_open$|db_paths_set$|gate_lock|gate_init' 'metrics.db is its only file; app.db is none of its business'
forbid bulkheadctl 'sqlite3_|mg_|jwt_|EVP_' 'it reads the region and asks the supervisor'
forbid loadtest 'sqlite3_|mg_|jwt_|EVP_' 'it is a client'
[ "$failed" = 0 ] && echo "check-links: every program imports only what is its business"
exit "$failed"
