/* SPDX-License-Identifier: MIT */
#include "common/fault_rules.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/fault_spec.h"
#include "common/region.h"

int fault_refuse(char *error, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, size, format, arguments);
    va_end(arguments);
    return -1;
}

static bool has_filter(const struct fault *fault)
{
    return fault->class != FAULT_EVERY || fault->endpoint != FAULT_EVERY;
}

void fault_rules_preset(struct fault *fault, uint32_t kind)
{
    *fault = (struct fault){.kind = kind,
                            .target = FAULT_TARGET_COUNT,
                            .point = FAULT_POINT_COUNT,
                            .class = FAULT_EVERY,
                            .endpoint = FAULT_EVERY,
                            .variant = FAULT_EVERY,
                            .duration_ms = FAULT_DURATION_PRESET_MS,
                            .seed = 1};
}

static enum fault_point preset_point(const struct fault *fault)
{
    switch ((enum fault_kind)fault->kind) {
    case FAULT_DB:
        return FAULT_POINT_DB_IO;
    case FAULT_RESOURCE:
        return FAULT_POINT_HELD;
    case FAULT_PARTIAL:
    case FAULT_OMISSION:
    case FAULT_WRONG:
        return FAULT_POINT_ANSWER;
    case FAULT_SLOW:
    case FAULT_ERROR:
        return FAULT_POINT_REQUEST;
    default:
        return has_filter(fault) ? FAULT_POINT_REQUEST : FAULT_POINT_NOW;
    }
}

static void preset_target(struct fault *fault)
{
    if (fault->point == FAULT_POINT_IN_CHECKPOINT) {
        fault->target = FAULT_TARGET_HELPER;
        fault->slot = HELPER_SLOT(HELPER_KEEPER);
    } else if (fault->kind == FAULT_DB) {
        fault->target = FAULT_TARGET_DATABASE;
    } else if (fault->point == FAULT_POINT_START) {
        fault->target = FAULT_TARGET_ALL;
    } else {
        bool one = fault_kind_strikes(fault->kind) || fault->kind == FAULT_RESOURCE;
        fault->target = one ? FAULT_TARGET_ANY : FAULT_TARGET_ALL;
    }
}

void fault_rules_complete(struct fault *fault)
{
    if (fault->point == FAULT_POINT_COUNT)
        fault->point = preset_point(fault);
    if (fault->target == FAULT_TARGET_COUNT)
        preset_target(fault);
    if (fault->point == FAULT_POINT_START)
        fault->repeat = 1; /* who will start is not known: whoever does is meant */
    fault->once = fault_kind_strikes(fault->kind) && !fault->repeat;
    /* An item is what a client can compare with what it wrote. */
    if (fault->kind == FAULT_WRONG && !has_filter(fault))
        fault->endpoint = ENDPOINT_ITEM_GET;
    if (fault->variant == FAULT_EVERY)
        fault->variant = fault->kind == FAULT_ERROR ? 500 : 0;
    if (fault->kind == FAULT_RESOURCE && fault->percent == 0 && fault->mib == 0) {
        fault->percent = fault->variant == FAULT_OF_FDS ? 90 : 0;
        fault->mib = fault->variant == FAULT_OF_MEMORY ? 256 : 0;
    }
    if (fault->per_million == 0)
        fault->per_million = FAULT_ALWAYS_PPM;
    /* Ten a second, the ticks' own rate, is no drill but an outage. */
    if (fault->repeat && fault->per_second == 0 && fault->point == FAULT_POINT_NOW)
        fault->per_second = 1;
}

/* What one key allows and another one forbids, for the kinds that have few rules. */
static int check_kind(const struct fault *fault, char *error, size_t size)
{
    bool fds = fault->variant == FAULT_OF_FDS;
    if (fault->point == FAULT_POINT_HELD && fault->kind != FAULT_RESOURCE)
        return fault_refuse(error, size, "point=held: only for resource");
    if (fault->point == FAULT_POINT_START &&
        (fault->kind != FAULT_CRASH ||
         (fault->target != FAULT_TARGET_WORKER && fault->target != FAULT_TARGET_ALL)))
        return fault_refuse(error, size, "point=start: only for crash, target=worker:N or all");
    if (fault->kind == FAULT_OMISSION && fault->point != FAULT_POINT_REQUEST &&
        fault->point != FAULT_POINT_ANSWER)
        return fault_refuse(error, size, "point=%s: not for omission; allowed: request, answer",
                            fault_point_name(fault->point));
    if (fault->kind == FAULT_RESOURCE && (fds ? fault->mib : fault->percent))
        return fault_refuse(error, size, "%s: not of=%s; its own key is %s",
                            fds ? "mib" : "percent", fds ? "fds" : "memory",
                            fds ? "percent" : "mib");
    return 0;
}

static bool needs_delay(const struct fault *fault)
{
    return fault->kind == FAULT_SLOW ||
           (fault->kind == FAULT_DB && fault->variant == FAULT_DB_SLOW);
}

int fault_rules_check(const struct fault *fault, char *error, size_t size)
{
    bool checkpoint = fault->point == FAULT_POINT_IN_CHECKPOINT;
    bool of_worker = fault->target == FAULT_TARGET_WORKER || fault->target == FAULT_TARGET_ANY ||
                     fault->target == FAULT_TARGET_ALL;
    if (has_filter(fault) && fault->point != FAULT_POINT_REQUEST &&
        fault->point != FAULT_POINT_ANSWER)
        return fault_refuse(error, size,
                            "point=%s: not with class or route; allowed: request, answer",
                            fault_point_name(fault->point));
    if (fault->kind == FAULT_SLOW && fault->point == FAULT_POINT_NOW)
        return fault_refuse(error, size, "point=now: not for slow; use hang, or point=request");
    if (fault->point == FAULT_POINT_DB_IO && fault->kind != FAULT_DB)
        return fault_refuse(error, size, "point=db_io: only for db");
    if (checkpoint
            ? fault->target != FAULT_TARGET_HELPER || fault->slot != HELPER_SLOT(HELPER_KEEPER)
            : fault->point != FAULT_POINT_NOW && fault->point != FAULT_POINT_HELD &&
                  fault->kind != FAULT_DB && !of_worker)
        return fault_refuse(
            error, size, "point=%s: only %s pass there", fault_point_name(fault->point),
            checkpoint ? "the keeper (target=keeper)" : "workers (target=worker:N, any or all)");
    if (fault->target == FAULT_TARGET_DATABASE && fault->kind != FAULT_DB)
        return fault_refuse(error, size,
                            "target=database: only for db; allowed: worker:N, any, all, "
                            "sentinel, keeper, console");
    if (fault->kind == FAULT_ERROR && fault->variant != 500 && fault->variant != 503 &&
        fault->variant != 504)
        return fault_refuse(error, size, "status=%u: not allowed; allowed: 500, 503, 504",
                            fault->variant);
    if (needs_delay(fault) && fault->delay_ms == 0)
        return fault_refuse(error, size, "delay: missing; for example delay=50ms");
    return check_kind(fault, error, size);
}
