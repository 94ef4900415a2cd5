/* SPDX-License-Identifier: MIT */
/* The style of every report page. */
#ifndef BULKHEAD_REPORT_DOCUMENT_STYLE_H
#define BULKHEAD_REPORT_DOCUMENT_STYLE_H

#define DOCUMENT_COLOURS 8 /* classes c0 to c7 */

extern const char document_style[];

#endif
