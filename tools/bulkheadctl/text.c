/* SPDX-License-Identifier: MIT */
#include "tools/bulkheadctl/text.h"

#include <inttypes.h>
#include <stdio.h>

const char *text_colour_code(enum colour colour)
{
    static const char *const codes[] = {
        [COLOUR_NONE] = "\033[0m",   [COLOUR_BOLD] = "\033[1m",    [COLOUR_RED] = "\033[31m",
        [COLOUR_GREEN] = "\033[32m", [COLOUR_YELLOW] = "\033[33m",
    };
    return codes[colour];
}

void text_colour(bool on, enum colour colour)
{
    if (on)
        fputs(text_colour_code(colour), stdout);
}

const char *text_duration(uint64_t seconds, char out[TEXT_SIZE])
{
    static const struct {
        uint64_t seconds;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    for (unsigned i = 0; i < 3; i++) {
        if (seconds < units[i].seconds)
            continue;
        snprintf(out, TEXT_SIZE, "%" PRIu64 " %s %" PRIu64 " %s", seconds / units[i].seconds,
                 units[i].name, seconds % units[i].seconds / units[i + 1].seconds,
                 units[i + 1].name);
        return out;
    }
    snprintf(out, TEXT_SIZE, "%" PRIu64 " s", seconds);
    return out;
}

const char *text_bytes(uint64_t bytes, char out[TEXT_SIZE])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    if (bytes < 1024) {
        snprintf(out, TEXT_SIZE, "%" PRIu64 " B", bytes);
        return out;
    }
    double number = (double)bytes / 1024;
    unsigned unit = 0;
    for (; number >= 1024 && unit < 3; unit++)
        number /= 1024;
    snprintf(out, TEXT_SIZE, "%.1f %s", number, units[unit]);
    return out;
}
