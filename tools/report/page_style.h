/* SPDX-License-Identifier: MIT */
/* The style of every report page. */
#ifndef BULKHEAD_REPORT_PAGE_STYLE_H
#define BULKHEAD_REPORT_PAGE_STYLE_H

#define PAGE_COLOURS 8 /* classes c0 to c7 */

extern const char page_style[];

#endif
