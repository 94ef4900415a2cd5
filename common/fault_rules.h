/* SPDX-License-Identifier: MIT */
/*
 * What a fault is when its text does not say, and which of its keys go together. Inside of
 * common/fault_spec.c, which takes the text apart.
 */
#ifndef BULKHEAD_FAULT_RULES_H
#define BULKHEAD_FAULT_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "common/fault_table.h"

/* A fault of which only the kind is known. */
void fault_rules_preset(struct fault *fault, uint32_t kind);

/* All was said: fill in the rest. */
void fault_rules_complete(struct fault *fault);

/* 0, or -1 and one line in error. */
int fault_rules_check(const struct fault *fault, char *error, size_t size);

/* Write the line; -1. */
int fault_refuse(char *error, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
