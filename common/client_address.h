/* SPDX-License-Identifier: MIT */
/*
 * Which address a client has when proxies stand before us: the rightmost of X-Forwarded-For that is
 * no proxy of ours, because a client can write what it likes to the left of that. Pure.
 */
#ifndef BULKHEAD_CLIENT_ADDRESS_H
#define BULKHEAD_CLIENT_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define TRUSTED_PROXIES_MAX 16

/* An address as 16 bytes; IPv4 as IPv6-mapped, all zeros for a unix socket. */
struct client_address {
    unsigned char bytes[16];
};

struct trusted_proxies {
    unsigned count;
    bool unix_sockets; /* whoever may connect to one is a proxy */
    struct {
        struct client_address address;
        unsigned prefix; /* bits of the 128 that must agree */
    } list[TRUSTED_PROXIES_MAX];
};

/* "10.0.0.1, fd00::/8, unix"; "" is none. 0, or -1 with one line in error. */
int trusted_proxies_parse(const char *text, struct trusted_proxies *proxies, char *error,
                          size_t error_size);

/* The client of a request that came from `peer` with these X-Forwarded-For lines, in their order.
 * Nothing in them is believed unless the peer is trusted; what is no address ends the search, and
 * the last proxy found stands for the client. */
struct client_address client_address(const struct trusted_proxies *proxies,
                                     const struct sockaddr_storage *peer, const char *const *lines,
                                     unsigned count);

/* How many of the bytes name one client: an IPv6 one has a /64 to itself. */
size_t client_address_length(const struct client_address *address);

#endif
