/* SPDX-License-Identifier: MIT */
#include "tools/drill/compartments.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tools/drill/measure.h"

#define LEAST_REQUESTS 20                   /* in a compartment, to speak of a share */
#define MANY_REQUESTS  (5 * LEAST_REQUESTS) /* expected, to call so few a silence */

static bool is_target(const struct spec *spec, const char *name)
{
    for (unsigned i = 0; i < spec->scope_count; i++)
        if (strcmp(spec->scope[i], name) == 0)
            return true;
    return false;
}

static double share(uint64_t failures, uint64_t answers)
{
    return answers > 0 ? (double)failures / (double)answers : (double)NAN;
}

static void add_compartment(struct drill_verdict *verdict, const struct spec *spec,
                            const char *name, double before, double during, double requests)
{
    struct compartment *compartment = &verdict->compartment[verdict->compartment_count++];
    snprintf(compartment->name, sizeof compartment->name, "%s", name);
    compartment->targeted = is_target(spec, name);
    compartment->before = before;
    compartment->during = during;
    compartment->requests = requests;
}

static void find_all(struct drill_verdict *verdict, const struct evidence *evidence, uint64_t to_ns)
{
    static const unsigned classes[] = {CLASS_AUTH, CLASS_READ, CLASS_WRITE};
    const struct sample *a = &evidence->sample[measure_sample_at(evidence, evidence->before_ns)];
    const struct sample *b = &evidence->sample[measure_sample_at(evidence, evidence->fault_ns)];
    const struct sample *c = &evidence->sample[measure_sample_at(evidence, to_ns)];
    double before_ns = (double)b->t_ns - (double)a->t_ns;
    double longer = before_ns > 0 ? ((double)c->t_ns - (double)b->t_ns) / before_ns : 0;
    add_compartment(verdict, evidence->spec, "health",
                    measure_health_failed_share(evidence, evidence->before_ns, evidence->fault_ns),
                    measure_health_failed_share(evidence, evidence->fault_ns, to_ns), 1000);
    for (unsigned i = 0; i < 3; i++) {
        unsigned n = classes[i];
        add_compartment(verdict, evidence->spec, class_name(n),
                        share(b->failures[n] - a->failures[n], b->answers[n] - a->answers[n]),
                        share(c->failures[n] - b->failures[n], c->answers[n] - b->answers[n]),
                        (double)(c->answers[n] - b->answers[n]));
        verdict->compartment[verdict->compartment_count - 1].expected =
            (double)(b->answers[n] - a->answers[n]) * longer;
    }
    for (unsigned n = 0; n < WORKER_SLOTS_MAX; n++) {
        char name[24];
        if (c->slot_answers[n] == a->slot_answers[n])
            continue;
        snprintf(name, sizeof name, "worker:%u", n);
        add_compartment(verdict, evidence->spec, name,
                        share(b->slot_failures[n] - a->slot_failures[n],
                              b->slot_answers[n] - a->slot_answers[n]),
                        share(c->slot_failures[n] - b->slot_failures[n],
                              c->slot_answers[n] - b->slot_answers[n]),
                        (double)(c->slot_answers[n] - b->slot_answers[n]));
    }
}

static bool by_worker(const struct spec *spec)
{
    for (unsigned i = 0; i < spec->scope_count; i++)
        if (strncmp(spec->scope[i], "worker:", 7) == 0)
            return true;
    return false;
}

/* NaN of one that answered many and no longer does: who hangs does not fail. */
static double points_of(const struct compartment *compartment)
{
    double before = isnan(compartment->before) ? 0 : compartment->before;
    if (isnan(compartment->during) || compartment->requests < LEAST_REQUESTS)
        return compartment->expected >= MANY_REQUESTS ? (double)NAN : 0;
    return (compartment->during - before) * 100;
}

/* `worker:any`: one worker may suffer, whichever it is; the worst of them is taken as the one. */
static void choose_any(struct drill_verdict *verdict)
{
    struct compartment *worst = NULL;
    for (unsigned i = 0; i < verdict->compartment_count; i++) {
        struct compartment *one = &verdict->compartment[i];
        if (strncmp(one->name, "worker:", 7) == 0 && (!worst || points_of(one) > points_of(worst)))
            worst = one;
    }
    if (worst)
        worst->targeted = true;
}

/* Workers are told apart only when the drill does: an outage of all is no leak from one. */
static void find_leakage(struct drill_verdict *verdict, const struct spec *spec)
{
    if (is_target(spec, "worker:any"))
        choose_any(verdict);
    for (unsigned i = 0; i < verdict->compartment_count; i++) {
        const struct compartment *one = &verdict->compartment[i];
        bool worker = strncmp(one->name, "worker:", 7) == 0;
        if (one->targeted || (worker && !by_worker(spec)))
            continue;
        double points = points_of(one);
        if (isnan(points) || points >= verdict->leakage_points) {
            verdict->leakage_points = points;
            snprintf(verdict->leakage_where, sizeof verdict->leakage_where, "%s", one->name);
        }
        if (isnan(points))
            return;
    }
}

void compartments_find(struct drill_verdict *verdict, const struct evidence *evidence,
                       uint64_t to_ns)
{
    if (evidence->sample_count > 0)
        find_all(verdict, evidence, to_ns);
    find_leakage(verdict, evidence->spec);
}
