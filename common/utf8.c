/* SPDX-License-Identifier: MIT */
#include "common/utf8.h"

/* The well-formed byte sequences, one row each (Unicode 15, table 3-7). */
static const struct {
    unsigned char first_low, first_high, second_low, second_high, width;
} sequences[] = {
    {0x00, 0x7F, 0x00, 0x00, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
    {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
    {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
};

size_t utf8_sequence(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    for (size_t row = 0; row < sizeof sequences / sizeof sequences[0]; row++) {
        if (s[0] < sequences[row].first_low || s[0] > sequences[row].first_high)
            continue;
        size_t width = sequences[row].width;
        if (width > length)
            return 0;
        if (width > 1 && (s[1] < sequences[row].second_low || s[1] > sequences[row].second_high))
            return 0;
        for (size_t i = 2; i < width; i++)
            if (s[i] < 0x80 || s[i] > 0xBF)
                return 0;
        return width;
    }
    return 0;
}

bool utf8_valid(const char *text, size_t length, size_t *characters)
{
    size_t count = 0;
    for (size_t i = 0; i < length; count++) {
        size_t width = utf8_sequence(text + i, length - i);
        if (width == 0)
            return false;
        i += width;
    }
    if (characters)
        *characters = count;
    return true;
}
