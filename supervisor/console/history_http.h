/* SPDX-License-Identifier: MIT */
/*
 * What the console remembers, over HTTP: /api/history, /api/history.csv, /api/components, /api/slo.
 * Rows are sent as they are read, so an answer costs the same memory whatever its length. Each
 * returns the status it sent.
 */
#ifndef BULKHEAD_CONSOLE_HISTORY_HTTP_H
#define BULKHEAD_CONSOLE_HISTORY_HTTP_H

#include "supervisor/console/reply.h"

int serve_history(struct reply *reply, const struct mg_request_info *request);
int serve_history_csv(struct reply *reply, const struct mg_request_info *request);
int serve_components(struct reply *reply, const struct mg_request_info *request);
int serve_slo(struct reply *reply, const struct mg_request_info *request);

#endif
