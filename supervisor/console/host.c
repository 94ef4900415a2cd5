/* SPDX-License-Identifier: MIT */
#include "supervisor/console/host.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define NAME_SIZE 256

static bool is_port_or_nothing(const char *text)
{
    if (*text == '\0')
        return true;
    size_t digits = strspn(text + 1, "0123456789");
    return text[0] == ':' && digits >= 1 && digits <= 5 && text[1 + digits] == '\0';
}

static bool is_listed(const char *name, size_t length, const char *names)
{
    static const char between[] = ", \t";
    while (*(names += strspn(names, between))) {
        size_t size = strcspn(names, between);
        if (size == length && strncasecmp(names, name, size) == 0)
            return true;
        names += size;
    }
    return false;
}

bool host_is_allowed(const char *host, const char *names)
{
    char name[NAME_SIZE];
    unsigned char address[sizeof(struct in6_addr)];
    bool bracketed = host[0] == '[';
    const char *start = host + bracketed;
    size_t length = strcspn(start, bracketed ? "]" : ":");
    const char *rest = start + length + (bracketed && start[length] == ']');
    if (length == 0 || length >= sizeof name || !is_port_or_nothing(rest))
        return false;
    memcpy(name, start, length);
    name[length] = '\0';
    if (bracketed)
        return rest[-1] == ']' && inet_pton(AF_INET6, name, address) == 1;
    return inet_pton(AF_INET, name, address) == 1 || strcasecmp(name, "localhost") == 0 ||
           is_listed(name, length, names);
}
