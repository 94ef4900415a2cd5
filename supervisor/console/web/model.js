/* SPDX-License-Identifier: MIT */
/*
 * What is known of the server: the last answers of /api, and the rows of the past minutes. It asks,
 * keeps and forgets; what any of it means is in meaning.js, how it looks is in the views.
 */
'use strict';

import { getJson } from './poll.js';

const KEPT_S = 660;
const KEPT_EVENTS = 1024; // as many as the server's ring holds
const OVERLAP_S = 3; // a row may be written a moment after its second
const ABSENT_RETRY_MS = 10000;
const STOCK_SAMPLES = 130;
const CLOCK_SLACK_MS = 2000;

/** @returns {object} a model without any data */
export function createModel() {
  return {
    state: null,
    slo: null,
    events: [], // oldest first, with atMs
    history: { columns: new Map(), rows: new Map(), last: 0 }, // rows: second -> values
    components: { list: [], rows: new Map(), last: 0 }, // rows: second -> cells
    stocks: new Map(), // name -> samples {atMs, level, in, out}, oldest first
    absentUntil: new Map(), // path -> when to ask again
    clockOffsetMs: 0,
    lostSince: null, // when the console stopped to answer
    run: null, // started_at of the supervisor the events are of
  };
}

/** The server's clock, in ms since 1970. */
export function serverNow(model) {
  return Date.now() + model.clockOffsetMs;
}

/** One round of questions. Throws when the console does not answer. */
export async function refresh(model) {
  const state = await getJson('/api/state');
  if (!state)
    throw new Error('/api/state is not there');
  takeState(model, state);
  await Promise.all([
    askEvents(model),
    askOptional(model, '/api/slo', null, () => '', (body) => { model.slo = body; }),
    askOptional(model, '/api/history', model.history, (from) => `?from=${from}&step=1`,
      (body) => takeHistory(model, body)),
    askOptional(model, '/api/components', model.components, (from) => `?from=${from}`,
      (body) => takeComponents(model, body)),
  ]);
}

/* ---- state and events ---- */

function takeState(model, { body, date }) {
  const off = date - Date.now();
  model.clockOffsetMs = Math.abs(off) > CLOCK_SLACK_MS ? off : 0;
  if (model.run !== body.started_at) { // another supervisor: its events begin at 1 again
    model.run = body.started_at;
    model.events = [];
    model.stocks.clear();
  }
  model.state = body;
  for (const stock of body.stocks || [])
    takeStock(model, stock);
}

function takeStock(model, stock) {
  const samples = model.stocks.get(stock.name) || [];
  samples.push({ atMs: Date.now(), level: stock.level, in: stock.in_total, out: stock.out_total });
  if (samples.length > STOCK_SAMPLES)
    samples.shift();
  model.stocks.set(stock.name, samples);
}

async function askEvents(model) {
  for (;;) {
    const last = model.events.at(-1)?.id;
    if (last !== undefined && model.state.last_event_id <= last)
      return;
    const answer = await getJson(last === undefined ? '/api/events' : `/api/events?since=${last}`);
    const fresh = answer ? answer.body.events : [];
    for (const event of fresh)
      model.events.push({ ...event, atMs: Date.parse(event.ts) });
    model.events.splice(0, Math.max(0, model.events.length - KEPT_EVENTS));
    if (fresh.length === 0 || fresh.at(-1).id >= answer.body.last_id)
      return;
  }
}

/* ---- what a console may not have ---- */

/* A refusal leaves the rest of the page in peace. It is asked again from the beginning: a clock that
   was set back makes the last moment known one that is yet to come. */
async function askOptional(model, path, kept, query, take) {
  if (Date.now() < (model.absentUntil.get(path) || 0))
    return;
  const answer = await getJson(path + query(kept && fromOf(kept))).catch((error) => {
    if (!error.status)
      throw error; // it is the console that does not answer
    return null;
  });
  if (answer) {
    take(answer.body);
    return;
  }
  model.absentUntil.set(path, Date.now() + ABSENT_RETRY_MS);
  if (kept)
    kept.last = 0;
}

function fromOf(kept) {
  return kept.last ? Math.floor(kept.last) - OVERLAP_S : -KEPT_S;
}

function forget(rows, last) {
  for (const t of rows.keys())
    if (t < last - KEPT_S)
      rows.delete(t);
}

function takeHistory(model, body) {
  const kept = model.history;
  const names = body.series.join();
  if (kept.names !== names) { // a console of another build: its columns mean something else
    kept.names = names;
    kept.rows.clear();
    kept.columns = new Map(body.series.map((name, i) => [name, i]));
  }
  for (const [t, ...values] of body.rows) {
    kept.rows.set(Math.floor(t), values);
    kept.last = Math.max(kept.last, t);
  }
  forget(kept.rows, kept.last);
}

function takeComponents(model, body) {
  const kept = model.components;
  const ids = body.components.map((component) => component.id).join();
  if (kept.ids !== ids) {
    kept.ids = ids;
    kept.rows.clear();
    kept.list = body.components;
  }
  for (const { t, cells } of body.rows) {
    kept.rows.set(Math.floor(t), cells);
    kept.last = Math.max(kept.last, t);
  }
  forget(kept.rows, kept.last);
}

/** One series of the history at one second; null when unknown. */
export function historyValue(model, name, second) {
  const column = model.history.columns.get(name);
  const row = model.history.rows.get(second);
  return column === undefined || !row ? null : row[column] ?? null;
}
