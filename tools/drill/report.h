/* SPDX-License-Identifier: MIT */
/*
 * What a drill found, for people and for programs. The JSON has everything a page needs: whoever
 * draws takes drill_report_json and nothing else.
 *
 *   {"drill","title","teaches","loop","mitigation","hypothesis":[{probe,op,limit,asserted,measured,margin,holds,level,
 *     during,worst_s}], "verdict":{result,why,exit_code}, "proof":{text,found,holds},
 *    "phases":{warm_up_s,before_s,fault_s,clear_s,after_s,end_s}   seconds; the fault begins at 0
 *    "method":[{at_s,text}],
 *    "bands":[{from_s,to_s,text}]   what was broken when, of the method
 *    "detect":{degraded_s,verdict_s,breaker_s,event,event_s,first_failure_s},
 *    "recover_s","blast_share","compartments":[{name,targeted,before,during}],
 *    "leakage":{points,where}, "audit":{lost,duplicate,corrupt,integrity_ok,integrity},
 * "anomaly":[{metric,expected}],
 *    "timeline":[{t_s,from:"drill"|"server",event,text,id,cause_id,who,slot}],
 *    "series":{"load":[{t_s,sent,ok,failed,attempts,in_flight,p50_ms,p95_ms,p99_ms,errors{}}],
 *              "health":[{t_s,sent,failed,not_healthy,p50_ms,p99_ms}],
 *              "server":[{t_s,db_state,status,ready,breakers,answers_per_s,failures_per_s,
 *                         classes{CLASS:{answers_per_s,failures_per_s}}}],
 *              "metrics":[{metric,gauge,rows:[{t_s,value}]}]   of the expressions
 *             },
 *    "load": loadtest's summary, "load2": that of a second one}
 *
 * With --calm main.c adds "detection" (truth.h). What was not measured is null; so is `holds` of a
 * probe that it never came to.
 */
#ifndef BULKHEAD_DRILL_REPORT_H
#define BULKHEAD_DRILL_REPORT_H

#include <stdio.h>

#include "tools/drill/verdict.h"

/* The whole report; the caller's to free with json_decref. */
json_t *drill_report_json(const struct evidence *evidence, const struct drill_verdict *verdict);

/* The report as text: verdict, lines, what was found. */
void drill_report_print(const struct evidence *evidence, const struct drill_verdict *verdict,
                        bool colour, FILE *out);

#endif
