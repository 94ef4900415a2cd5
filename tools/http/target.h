/* SPDX-License-Identifier: MIT */
/*
 * The server under load: a URL taken apart, and the one address of it that is used. The parsing is
 * pure; only target_resolve looks at the network.
 */
#ifndef BULKHEAD_TOOLS_TARGET_H
#define BULKHEAD_TOOLS_TARGET_H

#include <sys/socket.h>

struct target {
    char host[256]; /* without brackets */
    char port[6];
    char authority[272]; /* as it stands in the URL: the Host header */
    char prefix[128];    /* of every path, "" or "/v1" */
    struct sockaddr_storage address;
    socklen_t address_length;
};

/* http://HOST[:PORT][/PREFIX], HOST a name, an IPv4 address or an IPv6 address in brackets.
 * 0 or -EINVAL. */
int target_parse(struct target *target, const char *url);

/* Look the host up and keep the first of its addresses that accepts a connection within two seconds
 * (localhost may be ::1, 127.0.0.1 or both). Blocks. 0 or a negative errno; -ENXIO when the name
 * is not known. */
int target_resolve(struct target *target);

#endif
