/* SPDX-License-Identifier: MIT */
/*
 * Which of the two formats of /metrics a client would rather have (RFC 9110, section 12.5.1): the
 * one with the higher weight in its Accept. Of the ranges that fit a format the most specific one
 * says its weight; at equal weights the format that was named more exactly wins, then the plain
 * text. A client that takes neither gets the text all the same: it can read that, but not a 406.
 */
#ifndef BULKHEAD_CONSOLE_NEGOTIATE_H
#define BULKHEAD_CONSOLE_NEGOTIATE_H

#include "common/exposition.h"

/* What the Accept fields read so far say of each format. Starts as {0}. */
struct negotiation {
    struct {
        unsigned exactness; /* 0: no range fits yet; then any, type, subtype, version */
        unsigned weight;    /* q in thousandths */
    } format[2];
};

/* Take in one Accept field; a request may have several, which count as one list. What is not well
 * formed in it is skipped. */
void negotiate_take(struct negotiation *negotiation, const char *accept);

/* The format to answer in. */
enum exposition_format negotiate_format(const struct negotiation *negotiation);

#endif
