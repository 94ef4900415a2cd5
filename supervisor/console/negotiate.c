/* SPDX-License-Identifier: MIT */
#include "supervisor/console/negotiate.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* How exactly a range fits a format. */
enum exactness { FITS_NOT, FITS_ANY, FITS_TYPE, FITS_SUBTYPE, FITS_VERSION };

#define WEIGHT_ONE 1000

static const struct {
    const char *type, *subtype, *version;
} formats[] = {
    [EXPOSITION_TEXT] = {"text", "plain", "0.0.4"},
    [EXPOSITION_OPENMETRICS] = {"application", "openmetrics-text", "1.0.0"},
};

/* A part of the field, without the blanks around it. */
struct part {
    const char *text;
    size_t length;
};

static bool part_is(struct part part, const char *word)
{
    return part.length == strlen(word) && strncasecmp(part.text, word, part.length) == 0;
}

/* What comes before any of the characters in ends (outside of quotes), and go past it. */
static struct part take_part(const char **at, const char *ends)
{
    struct part part = {.text = *at + strspn(*at, " \t")};
    const char *end = part.text;
    for (bool quoted = false; *end && (quoted || !strchr(ends, *end)); end++) {
        if (*end == '"')
            quoted = !quoted;
        else if (*end == '\\' && quoted && end[1])
            end++;
    }
    *at = end;
    while (end > part.text && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    part.length = (size_t)(end - part.text);
    return part;
}

/* qvalue = "0" [ "." 0*3DIGIT ] / "1" [ "." 0*3"0" ]; anything else is taken for 1, as if it had
 * not been given. */
static unsigned weight_of(struct part value)
{
    unsigned weight = 0, unit = WEIGHT_ONE;
    if (value.length < 1 || value.length > 5 || (value.length > 1 && value.text[1] != '.'))
        return WEIGHT_ONE;
    for (size_t i = 0; i < value.length; i++) {
        if (i == 1)
            continue;
        if (!isdigit((unsigned char)value.text[i]))
            return WEIGHT_ONE;
        weight += (unsigned)(value.text[i] - '0') * unit;
        unit /= 10;
    }
    return weight <= WEIGHT_ONE ? weight : WEIGHT_ONE;
}

static struct part without_quotes(struct part value)
{
    if (value.length >= 2 && value.text[0] == '"' && value.text[value.length - 1] == '"')
        value = (struct part){value.text + 1, value.length - 2};
    return value;
}

static enum exactness fit(struct part type, struct part subtype, struct part version,
                          enum exposition_format format)
{
    if (part_is(type, "*") && part_is(subtype, "*"))
        return FITS_ANY;
    if (!part_is(type, formats[format].type))
        return FITS_NOT;
    if (part_is(subtype, "*"))
        return FITS_TYPE;
    if (!part_is(subtype, formats[format].subtype))
        return FITS_NOT;
    if (!version.text)
        return FITS_SUBTYPE;
    return part_is(version, formats[format].version) ? FITS_VERSION : FITS_NOT;
}

/* Parameters but version and q (charset, escaping) change nothing of what we would send. */
static void take_range(struct negotiation *negotiation, const char **at)
{
    struct part type = take_part(at, "/;,"), subtype = {"", 0}, version = {NULL, 0};
    unsigned weight = WEIGHT_ONE;
    if (**at == '/') {
        ++*at;
        subtype = take_part(at, ";,");
    }
    while (**at == ';') {
        ++*at;
        struct part name = take_part(at, "=;,"), value = {"", 0};
        if (**at == '=') {
            ++*at;
            value = without_quotes(take_part(at, ";,"));
        }
        if (part_is(name, "q"))
            weight = weight_of(value);
        else if (part_is(name, "version"))
            version = value;
    }
    for (unsigned i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        enum exactness exactness = fit(type, subtype, version, (enum exposition_format)i);
        if (exactness > negotiation->format[i].exactness) {
            negotiation->format[i].exactness = exactness;
            negotiation->format[i].weight = weight;
        }
    }
}

void negotiate_take(struct negotiation *negotiation, const char *accept)
{
    while (*accept) {
        take_range(negotiation, &accept);
        accept += *accept == ',';
    }
}

enum exposition_format negotiate_format(const struct negotiation *negotiation)
{
    unsigned text = negotiation->format[EXPOSITION_TEXT].weight;
    unsigned open = negotiation->format[EXPOSITION_OPENMETRICS].weight;
    bool more_exactly = negotiation->format[EXPOSITION_OPENMETRICS].exactness >
                        negotiation->format[EXPOSITION_TEXT].exactness;
    return open > text || (open == text && open > 0 && more_exactly) ? EXPOSITION_OPENMETRICS
                                                                     : EXPOSITION_TEXT;
}
