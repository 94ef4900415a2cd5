/* SPDX-License-Identifier: MIT */
/* Exit codes are a contract: scripts and systemd decide by them (values from sysexits.h). */
#ifndef BULKHEAD_EXIT_CODES_H
#define BULKHEAD_EXIT_CODES_H

enum exit_code {
    EXIT_ASKED = 0,          /* stopped because it was asked to */
    EXIT_BUG = 70,           /* an invariant of this program broke */
    EXIT_TEMPORARY = 75,     /* port, directory, database or limit: may pass, try again */
    EXIT_CONFIGURATION = 78, /* a flag, key or value a person must mend */
};

#endif
