/* SPDX-License-Identifier: MIT */
#include "common/labels.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define NAME_FUNCTION(function, LIST)                        \
    const char *function(unsigned value)                     \
    {                                                        \
        static const char *const names[] = {LIST(X)};        \
        return value < COUNT_OF(names) ? names[value] : "?"; \
    }

#define X(id, name) name,
NAME_FUNCTION(class_name, CLASS_LIST)
NAME_FUNCTION(stage_name, STAGE_LIST)
NAME_FUNCTION(db_op_name, DB_OP_LIST)
NAME_FUNCTION(db_code_name, DB_CODE_LIST)
NAME_FUNCTION(db_state_name, DB_STATE_LIST)
NAME_FUNCTION(slot_state_name, SLOT_STATE_LIST)
NAME_FUNCTION(death_name, DEATH_LIST)
NAME_FUNCTION(restart_reason_name, RESTART_REASON_LIST)
NAME_FUNCTION(attempt_name, ATTEMPT_LIST)
NAME_FUNCTION(refusal_name, REFUSAL_LIST)
NAME_FUNCTION(event_tone_name, EVENT_TONE_LIST)
NAME_FUNCTION(fault_kind_name, FAULT_KIND_LIST)
NAME_FUNCTION(dependency_name, DEPENDENCY_LIST)
NAME_FUNCTION(breaker_state_name, BREAKER_STATE_LIST)
NAME_FUNCTION(rate_policy_name, RATE_POLICY_LIST)
NAME_FUNCTION(rate_result_name, RATE_RESULT_LIST)
#undef X

static const struct {
    const char *name;
    enum event_tone tone;
} events[] = {
#define X(id, name, tone) {name, EVENT_TONE_##tone},
    EVENT_LIST(X)
#undef X
};

const char *event_name(unsigned value)
{
    return value < COUNT_OF(events) ? events[value].name : "?";
}

enum event_tone event_tone(unsigned event)
{
    return event < COUNT_OF(events) ? events[event].tone : EVENT_TONE_INFO;
}

static const struct {
    enum request_class class;
    const char *method, *route;
} endpoints[] = {
#define X(id, class, method, route) {CLASS_##class, method, route},
    ENDPOINT_LIST(X)
#undef X
};

const char *endpoint_method(unsigned endpoint)
{
    return endpoint < COUNT_OF(endpoints) ? endpoints[endpoint].method : "?";
}

const char *endpoint_route(unsigned endpoint)
{
    return endpoint < COUNT_OF(endpoints) ? endpoints[endpoint].route : "?";
}

enum request_class endpoint_class(unsigned endpoint)
{
    return endpoint < COUNT_OF(endpoints) ? endpoints[endpoint].class : CLASS_OTHER;
}

static const unsigned short status_codes[] = {
#define X(code) code,
    STATUS_LIST(X)
#undef X
};

unsigned status_code(unsigned index)
{
    return index < COUNT_OF(status_codes) ? status_codes[index] : 0;
}

enum status_index status_index(unsigned code)
{
    for (unsigned i = 0; i < COUNT_OF(status_codes); i++)
        if (status_codes[i] == code)
            return (enum status_index)i;
    return STATUS_0;
}

static const struct {
    enum breaker_state from, to;
    const char *reason;
} breaker_moves[] = {
#define X(id, from, to, reason) {BREAKER_##from, BREAKER_##to, reason},
    BREAKER_MOVE_LIST(X)
#undef X
};

enum breaker_state breaker_move_from(unsigned move)
{
    return move < COUNT_OF(breaker_moves) ? breaker_moves[move].from : BREAKER_STATE_COUNT;
}

enum breaker_state breaker_move_to(unsigned move)
{
    return move < COUNT_OF(breaker_moves) ? breaker_moves[move].to : BREAKER_STATE_COUNT;
}

const char *breaker_move_reason(unsigned move)
{
    return move < COUNT_OF(breaker_moves) ? breaker_moves[move].reason : "?";
}
