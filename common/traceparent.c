/* SPDX-License-Identifier: MIT */
#include "common/traceparent.h"

#include <ctype.h>
#include <string.h>

static bool hex_run(const char *text, size_t length, bool may_be_zero)
{
    bool zero = true;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)text[i]) && (text[i] < 'a' || text[i] > 'f'))
            return false;
        zero = zero && text[i] == '0';
    }
    return may_be_zero || !zero;
}

bool traceparent_parse(const char *value, size_t length, char out[TRACEPARENT_LENGTH + 1])
{
    if (length < TRACEPARENT_LENGTH || value[2] != '-' || value[35] != '-' || value[52] != '-')
        return false;
    if (!hex_run(value, 2, true) || strncmp(value, "ff", 2) == 0 ||
        !hex_run(value + 3, 32, false) || !hex_run(value + 36, 16, false) ||
        !hex_run(value + 53, 2, true))
        return false;
    bool first_version = strncmp(value, "00", 2) == 0;
    if (length > TRACEPARENT_LENGTH && (first_version || value[TRACEPARENT_LENGTH] != '-'))
        return false;
    memcpy(out, value, TRACEPARENT_LENGTH);
    out[TRACEPARENT_LENGTH] = '\0';
    return true;
}
