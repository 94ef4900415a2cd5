/* SPDX-License-Identifier: MIT */
/* The items of a user: /data/items and /data/items/{id}. The user is known, the body is read. */
#ifndef BULKHEAD_ITEMS_H
#define BULKHEAD_ITEMS_H

#include "worker/exchange.h"

void items_list(struct exchange *exchange);
void items_get(struct exchange *exchange);
void items_create(struct exchange *exchange);
void items_put(struct exchange *exchange);
void items_patch(struct exchange *exchange);
void items_delete(struct exchange *exchange);

#endif
