/* SPDX-License-Identifier: MIT */
#include "tools/drill/tally.h"

int tally_exit_code(const struct tally *tally, unsigned count, bool all)
{
    int code = 0;
    for (unsigned i = 0; i < count; i++) {
        int own = all && tally[i].result == DRILL_SKIPPED ? 0 : drill_exit_code(tally[i].result);
        code = own > code ? own : code;
    }
    return code;
}

void tally_print(const struct tally *tally, unsigned count, FILE *out)
{
    struct truth_result sum = {0};
    unsigned judged = 0;
    fputc('\n', out);
    for (unsigned i = 0; i < count; i++) {
        fprintf(out, "%-24s  %-11s  %s\n", tally[i].name, drill_result_name(tally[i].result),
                tally[i].why);
        if (tally[i].judged)
            truth_add(&sum, &tally[i].truth);
        judged += tally[i].judged;
    }
    if (judged == 0)
        return;
    fprintf(out, "\n%u of %u drills held against their truths\n", judged, count);
    truth_print(&sum, out);
}
