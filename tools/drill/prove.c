/* SPDX-License-Identifier: MIT */
#include "tools/drill/prove.h"

#include "tools/drill/spec.h"

bool proof_row_is_good(const struct proof_row *row)
{
    if (row->arm & ARM_CONTROL)
        return row->result == DRILL_DEVIATED && row->proven == PROOF_FELT;
    return row->result == DRILL_DEVIATED || (row->result == DRILL_INVALID && !row->proven);
}

static int row_code(const struct proof_row *row, bool all)
{
    if (proof_row_is_good(row) || (all && row->result == DRILL_SKIPPED))
        return 0;
    return row->result == DRILL_PASS ? 1 : row->result == DRILL_INTERRUPTED ? 3 : 2;
}

int prove_exit_code(const struct proof_row *rows, unsigned count, bool all)
{
    int code = 0;
    for (unsigned i = 0; i < count; i++) {
        int own = row_code(&rows[i], all);
        code = own > code ? own : code;
    }
    return code;
}

void prove_print(const struct proof_row *rows, unsigned count, FILE *out)
{
    fputs("\n", out);
    for (unsigned i = 0; i < count; i++)
        fprintf(out, "%-20s  %-8s  %-10s  %-11s  %s\n", rows[i].name,
                rows[i].arm & ARM_CONTROL ? "control" : "no fault",
                proof_row_is_good(&rows[i]) ? "proven" : "NOT PROVEN",
                drill_result_name(rows[i].result), rows[i].why);
}
