/* SPDX-License-Identifier: MIT */
#include "tools/bulkheadctl/screen.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* ---- the frame ----------------------------------------------------------------------------- */

#define SPARE 16 /* the end of a colour and of a line always fit */

void frame_begin(struct frame *frame, unsigned width, unsigned height, bool colour)
{
    frame->width = width;
    frame->height = height;
    frame->colour = colour;
    frame->row = frame->column = 0;
    frame->length = 0;
    frame->text[0] = '\0';
}

unsigned frame_rows_left(const struct frame *frame)
{
    if (frame->height == 0)
        return UINT_MAX;
    return frame->row < frame->height ? frame->height - frame->row : 0;
}

static void put(struct frame *frame, const char *text, size_t length)
{
    if (frame->length + length + SPARE > sizeof frame->text)
        return;
    memcpy(frame->text + frame->length, text, length);
    frame->length += length;
    frame->text[frame->length] = '\0';
}

void frame_put(struct frame *frame, enum colour colour, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t length = strlen(text);
    if (frame->width && frame->column + length > frame->width)
        length = frame->column < frame->width ? frame->width - frame->column : 0;
    if (length == 0 || frame_rows_left(frame) == 0)
        return;
    /* What is not ASCII might be wider or narrower than it looks, or be obeyed. */
    for (size_t i = 0; i < length; i++)
        if (text[i] < ' ' || text[i] > '~')
            text[i] = '?';
    bool coloured = frame->colour && colour != COLOUR_NONE;
    if (coloured)
        put(frame, text_colour_code(colour), strlen(text_colour_code(colour)));
    put(frame, text, length);
    if (coloured)
        put(frame, text_colour_code(COLOUR_NONE), strlen(text_colour_code(COLOUR_NONE)));
    frame->column += (unsigned)length;
}

void frame_line(struct frame *frame)
{
    if (frame_rows_left(frame) > 0)
        put(frame, "\n", 1);
    frame->row++;
    frame->column = 0;
}

/* ---- the terminal -------------------------------------------------------------------------- */

#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[0m\033[?25h\033[?1049l"

static struct {
    bool taken, has_keys;
    struct termios before;
} terminal;

/* A terminal may take a frame in pieces. */
static bool write_all(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(STDOUT_FILENO, text, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text += n;
        length -= (size_t)n;
    }
    return true;
}

void screen_enter(void)
{
    terminal.has_keys = tcgetattr(STDIN_FILENO, &terminal.before) == 0;
    if (terminal.has_keys) {
        struct termios raw = terminal.before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* ISIG stays: Ctrl-C is a signal */
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    }
    terminal.taken = true;
    write_all(ENTER, sizeof ENTER - 1);
}

void screen_leave(void)
{
    if (!terminal.taken)
        return;
    terminal.taken = false;
    write_all(LEAVE, sizeof LEAVE - 1);
    if (terminal.has_keys)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal.before);
}

void screen_size(unsigned *width, unsigned *height)
{
    struct winsize size = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row;
    *width = known ? size.ws_col : 80;
    *height = known ? size.ws_row : 24;
}

bool screen_show(const struct frame *frame)
{
    static const char home[] = "\033[H", rest_of_line[] = "\033[K\r\n", rest[] = "\033[K\033[J";
    static char out[2 * FRAME_SIZE];
    size_t length = sizeof home - 1;
    memcpy(out, home, length);
    const char *end = frame->text + frame->length;
    if (end > frame->text && end[-1] == '\n')
        end--; /* a newline in the last row would scroll the first one away */
    for (const char *at = frame->text; at < end; at++) {
        if (length + sizeof rest_of_line + sizeof rest > sizeof out)
            break;
        if (*at == '\n') {
            memcpy(out + length, rest_of_line, sizeof rest_of_line - 1);
            length += sizeof rest_of_line - 1;
        } else {
            out[length++] = *at;
        }
    }
    memcpy(out + length, rest, sizeof rest - 1);
    return write_all(out, length + sizeof rest - 1);
}
