/* SPDX-License-Identifier: MIT */
/* The description of the API that GET /openapi.json gives out (OpenAPI 3.1). */
#ifndef BULKHEAD_OPENAPI_H
#define BULKHEAD_OPENAPI_H

#include <stddef.h>

extern const char openapi_json[];
extern const size_t openapi_json_length;

#endif
