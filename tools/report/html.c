/* SPDX-License-Identifier: MIT */
#include "tools/report/html.h"

#include <stdarg.h>
#include <string.h>

#include "common/utf8.h"

#define FORMATTED_BYTES 4096
#define REPLACEMENT     "\xEF\xBF\xBD"

/* What stands for a character of ASCII; NULL when it stands for itself. */
static const char *substitute(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\t':
    case '\n':
        return NULL;
    default:
        return (unsigned char)c < ' ' || c == 0x7F ? REPLACEMENT : NULL;
    }
}

void html_text(FILE *out, const char *text)
{
    size_t left = text ? strlen(text) : 0;
    while (left > 0) {
        size_t length = utf8_sequence(text, left);
        const char *other = length == 1 ? substitute(*text) : length == 0 ? REPLACEMENT : NULL;
        if (length == 0)
            length = 1;
        if (other)
            fputs(other, out);
        else
            fwrite(text, 1, length, out);
        text += length;
        left -= length;
    }
}

void html_textf(FILE *out, const char *format, ...)
{
    char text[FORMATTED_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    html_text(out, text);
}
