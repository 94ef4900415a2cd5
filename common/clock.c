/* SPDX-License-Identifier: MIT */
#include "common/clock.h"

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

uint64_t clock_wall_us(void)
{
    return clock_wall_ns() / NS_PER_US;
}

struct timespec clock_timespec(uint64_t monotonic_ns)
{
    return (struct timespec){.tv_sec = (time_t)(monotonic_ns / NS_PER_S),
                             .tv_nsec = (long)(monotonic_ns % NS_PER_S)};
}

int clock_ms_until(uint64_t deadline_ns, uint64_t now_ns, int limit_ms)
{
    if (deadline_ns <= now_ns)
        return 0;
    uint64_t ms = (deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
    return ms > (uint64_t)limit_ms ? limit_ms : (int)ms;
}

/* The last digits of a number, and the character that follows them. */
static char *put_digits(char *at, uint64_t number, unsigned digits, char end)
{
    uint32_t rest = (uint32_t)number;
    for (unsigned i = digits; i-- > 0; rest /= 10)
        at[i] = (char)('0' + rest % 10);
    at[digits] = end;
    return at + digits + 1;
}

/* By hand: strftime and snprintf take twenty times as long, and an answer with its log line has
 * three times in it. The date is Howard Hinnant's civil_from_days ("chrono-Compatible Low-Level
 * Date Algorithms"): years begin in March, so that the leap day is their last. */
void clock_rfc3339(char out[CLOCK_RFC3339_SIZE], uint64_t wall_us)
{
    uint64_t seconds = wall_us / US_PER_S, in_day = seconds % 86400;
    uint64_t days = seconds / 86400 + 719468; /* since 0000-03-01 */
    uint64_t in_era = days % 146097;          /* an era has 400 years */
    uint64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    uint64_t in_year = in_era - (365 * year + year / 4 - year / 100);
    uint64_t from_march = (5 * in_year + 2) / 153;
    uint64_t month = from_march < 10 ? from_march + 3 : from_march - 9;
    year += days / 146097 * 400 + (month <= 2);
    out = put_digits(out, year, 4, '-');
    out = put_digits(out, month, 2, '-');
    out = put_digits(out, in_year - (153 * from_march + 2) / 5 + 1, 2, 'T');
    out = put_digits(out, in_day / 3600, 2, ':');
    out = put_digits(out, in_day / 60 % 60, 2, ':');
    out = put_digits(out, in_day % 60, 2, '.');
    out = put_digits(out, wall_us % US_PER_S, 6, 'Z');
    *out = '\0';
}

void clock_http_date(char out[CLOCK_HTTP_DATE_SIZE], uint64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / US_PER_S);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(out, CLOCK_HTTP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}
