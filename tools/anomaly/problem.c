/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/problem.h"

#include <stdarg.h>
#include <stdio.h>

int problem_set(struct problem *problem, int exit_code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem->text, sizeof problem->text, format, arguments);
    va_end(arguments);
    problem->exit_code = exit_code;
    return -1;
}
