/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/moment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS_LIMIT INT64_C(253402300800) /* the year 10000 */

static int parse_seconds(const char *text, int64_t *time_s)
{
    char *end;
    errno = 0;
    long long seconds = strtoll(text, &end, 10);
    if (errno || *end != '\0' || seconds < 0 || seconds >= SECONDS_LIMIT)
        return -EINVAL;
    *time_s = seconds;
    return 0;
}

int moment_parse(const char *text, int64_t *time_s)
{
    struct tm parts = {0};
    int used = 0;
    char between;
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && text[digits] == '\0')
        return parse_seconds(text, time_s);
    if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d:%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
               &between, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &used) != 7 ||
        (between != 'T' && between != ' '))
        return -EINVAL;
    const char *rest = text + used;
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    if (*rest == 'Z')
        rest += 1;
    if (*rest != '\0' || parts.tm_mon < 1 || parts.tm_mon > 12 || parts.tm_mday < 1 ||
        parts.tm_mday > 31 || parts.tm_hour > 23 || parts.tm_min > 59 || parts.tm_sec > 60)
        return -EINVAL;
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    *time_s = timegm(&parts);
    return *time_s >= 0 ? 0 : -EINVAL;
}

void moment_print(char out[MOMENT_SIZE], int64_t time_s)
{
    time_t seconds = (time_t)time_s;
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(out, MOMENT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts);
}
