/* SPDX-License-Identifier: MIT */
/*
 * A frame of text for a terminal, and the terminal it is shown on. Plain ANSI (ECMA-48). The frame
 * is pure: lines are clipped to its width, lines beyond its height are dropped. The terminal is put
 * back as it was found, whatever ends the program but SIGKILL.
 */
#ifndef BULKHEADCTL_SCREEN_H
#define BULKHEADCTL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/bulkheadctl/text.h"

#define FRAME_SIZE (64 * 1024)

struct frame {
    unsigned width, height; /* 0: no limit */
    bool colour;
    unsigned row, column; /* where the next character goes */
    size_t length;
    char text[FRAME_SIZE];
};

void frame_begin(struct frame *frame, unsigned width, unsigned height, bool colour);

/* Text of the program and of the region: printable, clipped at the width. */
void frame_put(struct frame *frame, enum colour colour, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* End the line. */
void frame_line(struct frame *frame);

/* Rows that are left; UINT_MAX without a limit. */
unsigned frame_rows_left(const struct frame *frame);

/* Take the terminal: alternate screen, no cursor, no echo, keys one by one. Without a terminal as
 * stdin there are no keys. */
void screen_enter(void);

/* Give it back; harmless when it was not taken. */
void screen_leave(void);

/* Its size; 80 by 24 when it does not say. */
void screen_size(unsigned *width, unsigned *height);

/* Show a frame in the place of the one before. False when the terminal is gone. */
bool screen_show(const struct frame *frame);

#endif
