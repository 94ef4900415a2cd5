/* SPDX-License-Identifier: MIT */
/*
 * Two clocks. Everything that is measured or waited for uses CLOCK_MONOTONIC in nanoseconds.
 * The wall clock appears only where a person or another machine reads it: logs, tokens, created_at.
 */
#ifndef BULKHEAD_CLOCK_H
#define BULKHEAD_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)
#define US_PER_MS UINT64_C(1000)
#define US_PER_S  UINT64_C(1000000)

/* Monotonic nanoseconds since an arbitrary point; comparable between processes of one boot. */
uint64_t clock_now_ns(void);

/* Wall clock in nanoseconds and microseconds since 1970-01-01T00:00:00Z. */
uint64_t clock_wall_ns(void);
uint64_t clock_wall_us(void);

/* A monotonic deadline as the timespec that pthread_mutex_clocklock and friends take. */
struct timespec clock_timespec(uint64_t monotonic_ns);

/* Milliseconds from now until the deadline, rounded up, 0 when it has passed, at most limit_ms. */
int clock_ms_until(uint64_t deadline_ns, uint64_t now_ns, int limit_ms);

/* RFC 3339 in UTC with microseconds: 2026-01-31T23:59:59.123456Z and a NUL. */
#define CLOCK_RFC3339_SIZE 28
void clock_rfc3339(char out[CLOCK_RFC3339_SIZE], uint64_t wall_us);

/* The Date of an HTTP answer (RFC 9110, section 5.6.7). Slow: once a second is enough. */
#define CLOCK_HTTP_DATE_SIZE 30
void clock_http_date(char out[CLOCK_HTTP_DATE_SIZE], uint64_t wall_us);

#endif
