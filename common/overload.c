/* SPDX-License-Identifier: MIT */
#include "common/overload.h"

uint64_t overload_longest_ns(bool class_overloaded, uint64_t class_ns)
{
    return class_overloaded ? CODEL_TARGET_NS : class_ns / 2;
}

uint64_t overload_needs_ns(uint64_t service_ns, uint64_t class_ns)
{
    uint64_t needs_ns = service_ns < class_ns / 8 ? 2 * service_ns : class_ns / 4;
    return needs_ns > NS_PER_MS ? needs_ns : NS_PER_MS;
}

enum overload_verdict overload_judge(const struct overload_view *view)
{
    if (!view->shed)
        return OVERLOAD_KEEP;
    if (view->class_overloaded && view->retry)
        return OVERLOAD_REFUSE_RETRY;
    if (view->any_overloaded && view->login)
        return OVERLOAD_REFUSE;
    /* Who comes through without a wait is let try, however little time he has: else a class that
     * was slow once would never be found quick again. */
    if (view->waited_ns >= CODEL_TARGET_NS &&
        view->left_ns < overload_needs_ns(view->service_ns, view->class_ns))
        return OVERLOAD_REFUSE_DEADLINE;
    return view->waited_ns >= overload_longest_ns(view->class_overloaded, view->class_ns)
               ? OVERLOAD_REFUSE
               : OVERLOAD_KEEP;
}
