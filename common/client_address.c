/* SPDX-License-Identifier: MIT */
#include "common/client_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE " \t"

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool is_v4(const struct client_address *address)
{
    return memcmp(address->bytes, mapped, sizeof mapped) == 0;
}

static bool read_address(const char *text, struct client_address *address)
{
    memcpy(address->bytes, mapped, sizeof mapped);
    return inet_pton(AF_INET, text, address->bytes + sizeof mapped) == 1 ||
           inet_pton(AF_INET6, text, address->bytes) == 1;
}

/* ---- trusted proxies --------------------------------------------------------------------- */

static bool read_prefix(const char *text, bool v4, unsigned *prefix)
{
    char *end;
    unsigned long bits = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || bits > (v4 ? 32 : 128))
        return false;
    *prefix = (unsigned)bits + (v4 ? 96 : 0);
    return true;
}

static bool add_proxy(struct trusted_proxies *proxies, char *word)
{
    struct client_address address;
    if (strcmp(word, "unix") == 0) {
        proxies->unix_sockets = true;
        return true;
    }
    char *slash = strchr(word, '/');
    if (slash)
        *slash++ = '\0';
    if (proxies->count == TRUSTED_PROXIES_MAX || !read_address(word, &address))
        return false;
    unsigned prefix = 128;
    if (slash && !read_prefix(slash, is_v4(&address), &prefix))
        return false;
    proxies->list[proxies->count].address = address;
    proxies->list[proxies->count++].prefix = prefix;
    return true;
}

int trusted_proxies_parse(const char *text, struct trusted_proxies *proxies, char *error,
                          size_t error_size)
{
    *proxies = (struct trusted_proxies){0};
    while (text[strspn(text, ", \t")] != '\0') {
        char word[64];
        text += strspn(text, ", \t");
        size_t length = strcspn(text, ", \t");
        snprintf(word, sizeof word, "%.*s", (int)length, text);
        if (length >= sizeof word || !add_proxy(proxies, word)) {
            snprintf(
                error, error_size,
                "trusted_proxies: \"%.*s\": want at most %d of ADDRESS, ADDRESS/PREFIX or unix",
                (int)length, text, TRUSTED_PROXIES_MAX);
            return -1;
        }
        text += length;
    }
    return 0;
}

static bool is_within(const struct client_address *address, const struct client_address *network,
                      unsigned prefix)
{
    unsigned bytes = prefix / 8, bits = prefix % 8;
    if (memcmp(address->bytes, network->bytes, bytes) != 0)
        return false;
    return bits == 0 || (address->bytes[bytes] ^ network->bytes[bytes]) >> (8 - bits) == 0;
}

static bool is_trusted(const struct trusted_proxies *proxies, const struct client_address *address)
{
    for (unsigned i = 0; i < proxies->count; i++)
        if (is_within(address, &proxies->list[i].address, proxies->list[i].prefix))
            return true;
    return false;
}

/* ---- the client -------------------------------------------------------------------------- */

/* One entry of the list: an address, which some proxies give with a port. */
static bool read_entry(const char *text, size_t length, struct client_address *address)
{
    char copy[64];
    while (length > 0 && strchr(SPACE, text[0]))
        text++, length--;
    while (length > 0 && strchr(SPACE, text[length - 1]))
        length--;
    if (length == 0 || length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *colon = strchr(copy, ':');
    if (copy[0] == '[') {
        copy[strcspn(copy, "]")] = '\0';
        return read_address(copy + 1, address);
    }
    if (colon && !strchr(colon + 1, ':')) /* one colon: IPv4 and a port */
        *colon = '\0';
    return read_address(copy, address);
}

/* Walk a line from its right end. True when the search is over. */
static bool search_line(const struct trusted_proxies *proxies, const char *line,
                        struct client_address *client)
{
    for (size_t end = strlen(line);;) {
        size_t start = end;
        while (start > 0 && line[start - 1] != ',')
            start--;
        struct client_address entry;
        if (!read_entry(line + start, end - start, &entry))
            return true;
        *client = entry;
        if (!is_trusted(proxies, &entry))
            return true;
        if (start == 0)
            return false;
        end = start - 1;
    }
}

static bool read_peer(const struct trusted_proxies *proxies, const struct sockaddr_storage *peer,
                      struct client_address *address)
{
    *address = (struct client_address){{0}};
    if (peer->ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, peer, sizeof v4);
        memcpy(address->bytes, mapped, sizeof mapped);
        memcpy(address->bytes + sizeof mapped, &v4.sin_addr, sizeof v4.sin_addr);
    } else if (peer->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, peer, sizeof v6);
        memcpy(address->bytes, &v6.sin6_addr, sizeof v6.sin6_addr);
    } else {
        return proxies->unix_sockets;
    }
    return is_trusted(proxies, address);
}

struct client_address client_address(const struct trusted_proxies *proxies,
                                     const struct sockaddr_storage *peer, const char *const *lines,
                                     unsigned count)
{
    struct client_address client;
    bool over = !read_peer(proxies, peer, &client);
    /* Lines of one name are one list, in their order (RFC 9110, section 5.3). */
    while (!over && count > 0)
        over = search_line(proxies, lines[--count], &client);
    return client;
}

size_t client_address_length(const struct client_address *address)
{
    return is_v4(address) ? sizeof address->bytes : sizeof address->bytes / 2;
}
