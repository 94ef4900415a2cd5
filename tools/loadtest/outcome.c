/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/outcome.h"

const char *cause_name(enum cause cause)
{
    static const char *const names[CAUSE_COUNT] = {
        [CAUSE_NONE] = "none",
        [CAUSE_REFUSED] = "refused",
        [CAUSE_UNREACHABLE] = "unreachable",
        [CAUSE_RESET] = "reset",
        [CAUSE_EOF] = "eof_before_response",
        [CAUSE_TIMEOUT] = "timeout",
        [CAUSE_MALFORMED] = "malformed",
        [CAUSE_DROPPED] = "dropped",
        [CAUSE_WRONG] = "wrong",
        [CAUSE_HTTP] = "http",
    };
    return names[cause];
}
