/* SPDX-License-Identifier: MIT */
/* cmocka with the headers it wants before itself. */
#ifndef BULKHEAD_UNIT_H
#define BULKHEAD_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The factor of every upper bound of behaviour: other tests and a compiler share the processors. A
 * sanitizer's build is several times slower; what must be quick is measured without one. Lower
 * bounds have no factor, and where a bound would come near what a broken program does, the test
 * asks for more instead. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define NOISE 8
#else
#define NOISE 2
#endif

#endif
