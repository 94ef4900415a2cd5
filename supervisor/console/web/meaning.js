/* SPDX-License-Identifier: MIT */
/*
 * What the numbers mean: levels, problems, intervals, flows. Pure functions of the model; no
 * document, no clock but the one passed in. Tones: good, warn, bad, fault, info, idle.
 */
'use strict';

import { bytes, clock, duration, number, percent, plural, words } from './format.js';

/* ---- levels of the heat map ---- */

/** Share of errors and p95 (ms) from which a level is reached, worst last. */
export const LEVELS = [
  { name: 'healthy', share: 0, p95: 0, text: 'under 10 % errors and 100 ms' },
  { name: 'degraded', share: 0.1, p95: 100, text: '10–30 % errors or 100–500 ms' },
  { name: 'warning', share: 0.3, p95: 500, text: '30–50 % errors or 500 ms–2 s' },
  { name: 'critical', share: 0.5, p95: 2000, text: 'over 50 % errors or 2 s, or down' },
];
export const CRITICAL = LEVELS.length - 1;

/** The level of a cell [requests_per_s, error_share, p95_ms]; -1 when nothing is known, or idle. */
export function cellLevel(cell) {
  if (!cell || (!(cell[0] > 0) && !(cell[1] > 0)))
    return -1;
  let level = 0;
  for (let i = 1; i < LEVELS.length; i++)
    if (cell[1] >= LEVELS[i].share || cell[2] >= LEVELS[i].p95)
      level = i;
  return level;
}

/* ---- slots ---- */

const SLOT_TONES = {
  ready: 'good', starting: 'info', draining: 'info', degraded: 'warn',
  killing: 'bad', dead: 'bad', backoff: 'bad', quarantined: 'bad', empty: 'idle',
};

export function slotTone(state) {
  return SLOT_TONES[state] || 'idle';
}

/** Worker slots of the state; the spare one only while it is in use. */
export function workers(state) {
  return state.slots.filter((slot) => slot.kind === 'worker' &&
    !(slot.state === 'empty' && slot.generation === 0) &&
    !(slot.state === 'empty' && slot.slot >= state.fleet.configured));
}

export function helpers(state) {
  return state.slots.filter((slot) => slot.kind !== 'worker' && slot.kind !== 'setup');
}

/* ---- events ---- */

/** The component an event belongs to. */
export function eventLane(event) {
  const name = event.event;
  if (name.startsWith('fault_'))
    return 'faults';
  if (name.startsWith('db_') || name.startsWith('backup') || name === 'wal_pinned' || name === 'gate_reset')
    return 'database';
  if (name.startsWith('route_'))
    return 'routes';
  if (event.kind === 'worker')
    return `worker ${event.slot}`;
  return event.kind || 'supervisor';
}

/** Intervals {fromMs, toMs, open, label, tone, lane} of faults and of a database that was not usable;
 *  what has not ended ends now. */
export function bands(events, nowMs) {
  const open = new Map(), found = [];
  const begin = (key, band) => {
    if (!open.has(key)) {
      open.set(key, band);
      found.push(band);
    }
  };
  const end = (key, atMs) => {
    if (open.has(key))
      Object.assign(open.get(key), { toMs: atMs, open: false });
    open.delete(key);
  };
  for (const event of events) {
    const fault = /^fault (\d+)(?:: (\S+))?/.exec(event.text) || [];
    if (event.event === 'fault_start')
      begin(`fault ${fault[1]}`, band(event, nowMs, faultLabel(event.text), 'fault'));
    else if (event.event === 'fault_end')
      end(`fault ${fault[1]}`, event.atMs);
    else if (event.event === 'db_unavailable')
      begin('db', band(event, nowMs, databaseLabel(event.text), 'bad'));
    else if (event.event === 'db_recovered')
      end('db', event.atMs);
  }
  return found;
}

function band(event, nowMs, label, tone) {
  return { fromMs: event.atMs, toMs: nowMs, open: true, label, tone, lane: eventLane(event) };
}

/* "fault 8: db effect=full target=database …": "db full" */
function faultLabel(text) {
  const kind = /^fault \d+: (\S+)/.exec(text), effect = /(?:effect|mode|signal|status)=(\S+)/.exec(text);
  return `${kind ? kind[1] : 'fault'}${effect ? ` ${effect[1]}` : ''}`;
}

/* "the database is full: …", "the database was moved …": "database full" */
function databaseLabel(text) {
  return `database ${words(databaseState(text) || 'not usable')}`;
}

function databaseState(text) {
  return /database (?:is|was) (\w+)/.exec(text)?.[1];
}

/** When components were down: id -> intervals {fromMs, toMs}; ids as in /api/components. A slot where
 *  nothing is wanted any more tells no event of it: the state's slots end what is open there. */
export function downIntervals(events, slots, nowMs) {
  const down = new Map();
  const open = new Map();
  const begin = (id, atMs) => {
    if (open.has(id))
      return;
    const interval = { fromMs: atMs, toMs: nowMs };
    open.set(id, interval);
    down.set(id, [...(down.get(id) || []), interval]);
  };
  const end = (id, atMs) => {
    if (open.has(id))
      open.get(id).toMs = atMs;
    open.delete(id);
  };
  for (const event of events) {
    if (event.event === 'worker_died' || event.event === 'worker_hung')
      begin(`worker:${event.slot}`, event.atMs);
    else if (event.event === 'worker_ready')
      end(`worker:${event.slot}`, event.atMs);
    else if (event.event === 'db_unavailable')
      parts(event).forEach((id) => begin(id, event.atMs));
    else if (event.event === 'db_recovered')
      ['database', 'db_read', 'db_write'].forEach((id) => end(id, event.atMs));
  }
  for (const slot of slots)
    if (slot.kind === 'worker' && slot.state === 'empty')
      end(`worker:${slot.slot}`, Date.parse(slot.since));
  return down;
}

/* What a verdict on the database takes away: nothing but time, the writes, or all. */
function parts(event) {
  const state = databaseState(event.text);
  if (state === 'slow')
    return [];
  return ['full', 'locked', 'read_only'].includes(state) ? ['db_write'] : ['database', 'db_read', 'db_write'];
}

/* ---- stocks ---- */

/** Rates over the last 5 s of samples: {in, out, net} per second, each null when unknown.
 *  in - out is the change of the level, so one counter gives both. */
export function flows(samples) {
  const last = samples?.at(-1);
  const first = samples?.find((sample) => sample.atMs >= last.atMs - 5500);
  const seconds = last ? (last.atMs - first.atMs) / 1000 : 0;
  if (!(seconds > 0.5))
    return { in: null, out: null, net: null };
  const net = (last.level - first.level) / seconds;
  const rate = (key) => Math.max(0, (last[key] - first[key]) / seconds);
  if (typeof last.in === 'number')
    return { in: rate('in'), out: Math.max(0, rate('in') - net), net };
  if (typeof last.out === 'number')
    return { in: Math.max(0, rate('out') + net), out: rate('out'), net };
  return { in: null, out: null, net };
}

/** Seconds until a stock is full at this rate; null when it does not fill. */
export function secondsToFull(stock, net) {
  const room = stock.limit - stock.level;
  return net > 0.05 && stock.limit > 0 ? Math.max(0, room / net) : null;
}

export function stockTone(stock) {
  const share = stock.limit > 0 ? stock.level / stock.limit : 0;
  return share >= 0.9 ? 'bad' : share >= 0.7 ? 'warn' : 'good';
}

/* ---- the whole ---- */

const REASONS = {
  starting: 'the server is starting',
  no_workers: 'no worker serves',
  db_unavailable: 'the database cannot be used',
  db_full: 'the disk or the log of the database is full',
  db_locked: 'another program holds the lock of the database',
  db_read_only: 'the database can only be read',
  db_slow: 'the database is slow',
  worker_quarantined: 'a worker died too often and is left alone',
  workers_degraded: 'workers serve only a part',
  slow: 'answers are slow',
  errors: 'requests fail without a named cause',
};

/** The state of the service in one sentence: {tone, word, sentence, detail}. While the console does
 *  not answer (lostSince is when that began) nobody knows. */
export function verdict(state, lostSince) {
  const health = state.health, fleet = state.fleet;
  if (lostSince)
    return { tone: 'idle', word: 'unknown', sentence: 'How it is now is not known.',
      detail: `When the console last answered, before ${clock(lostSince)}, it was ${words(health.status)}.` };
  const tone = { healthy: 'good', degraded: 'warn', failing: 'bad' }[health.status] || 'idle';
  const serving = `${fleet.ready + fleet.degraded} of ${plural(fleet.configured, 'worker')} serving`;
  const why = health.reason ? REASONS[health.reason] || words(health.reason) : null;
  const database = `database ${words(state.db.state)}`;
  return {
    tone,
    word: health.status,
    sentence: why ? `${why[0].toUpperCase()}${why.slice(1)}.` : 'Everything is served.',
    detail: `${serving}, ${database}, load ${health.load}.`,
  };
}

/** Everything that is wrong now, worst first: {id, tone, text, detail, sinceMs, view}. */
export function problems(model) {
  const state = model.state;
  return [
    ...databaseProblems(state), ...slotProblems(state), ...breakerProblems(state),
    ...routeProblems(state), ...sloProblems(model.slo), ...stockProblems(state),
  ].sort((a, b) => (a.tone === 'bad' ? 0 : 1) - (b.tone === 'bad' ? 0 : 1));
}

function databaseProblems(state) {
  if (state.db.state === 'up')
    return [];
  const refused = [!state.db.readable && 'reads', !state.db.writable && 'writes'].filter(Boolean).join(' and ');
  return [{
    id: 'db',
    tone: refused ? 'bad' : 'warn',
    text: `Database ${words(state.db.state)}${refused ? `: ${refused} are refused` : ''}`,
    detail: state.db.evidence,
    sinceMs: Date.parse(state.db.since),
    view: 'timeline',
  }];
}

/* Map.groupBy, which browsers of 2023 lack. */
function groupBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (!groups.has(key))
      groups.set(key, []);
    groups.get(key).push(item);
  }
  return groups;
}

/* Slots in the same state are one line: what befalls all of them is one thing. */
function slotProblems(state) {
  const groups = groupBy([...workers(state), ...helpers(state)]
    .filter((slot) => ['warn', 'bad'].includes(slotTone(slot.state))),
  (slot) => `${slot.kind} ${slot.state}`);
  return [...groups].map(([id, slots]) => ({
    id: `slots ${id}`,
    tone: slotTone(slots[0].state),
    text: `${slotNames(slots)} ${slots.length > 1 ? 'are' : 'is'} ${words(slots[0].state)}`,
    detail: slots[0].state === 'degraded' || !slots[0].last_death ? '' : `last death: ${words(slots[0].last_death)}`,
    sinceMs: Math.min(...slots.map((slot) => Date.parse(slot.since))),
    view: 'workers',
  }));
}

/* "Worker 1", "Workers 0, 2", "The keeper" */
function slotNames(slots) {
  if (slots[0].kind !== 'worker')
    return `The ${slots[0].kind}`;
  return `Worker${slots.length > 1 ? 's' : ''} ${slots.map((slot) => slot.slot).join(', ')}`;
}

/** Breakers of the live workers that are not closed: [slot, dependency, breaker]. */
export function openBreakers(state) {
  return workers(state).flatMap((slot) => Object.entries(slot.breakers || {})
    .filter(([, breaker]) => breaker && !['closed', 'disabled'].includes(breaker.state))
    .map(([name, breaker]) => [slot, name, breaker]));
}

function breakerProblems(state) {
  const groups = groupBy(openBreakers(state), ([, name, breaker]) => `${name} ${breaker.state}`);
  return [...groups].map(([id, found]) => {
    const [, name, breaker] = found[0];
    return {
      id: `breakers ${id}`,
      tone: 'warn',
      text: `Breaker of ${words(name)} is ${words(breaker.state)}`,
      detail: `in ${slotNames(found.map(([slot]) => slot)).toLowerCase()}`,
      sinceMs: Math.min(...found.map(([, , one]) => Date.parse(one.since))),
      view: 'workers',
    };
  });
}

function routeProblems(state) {
  return (state.routes || []).map((route) => ({
    id: `route ${route.method} ${route.route}`,
    tone: 'bad',
    text: `${route.method} ${route.route} is refused`,
    detail: route.state === 'trial' ? 'workers died of it; one request tries it now' :
      `workers died of it; tried again in ${duration((route.trial_in_ms || 0) / 1000)}`,
    sinceMs: NaN,
    view: 'timeline',
  }));
}

function sloProblems(slo) {
  return (slo?.slos || []).flatMap((objective) => {
    const firing = objective.alerts.filter((alert) => alert.firing);
    if (firing.length === 0)
      return [];
    const worst = firing.reduce((a, b) => b.burn > a.burn ? b : a);
    return [{
      id: `slo ${objective.name}`,
      tone: 'warn',
      text: `The budget of ${objective.name} burns ${number(worst.long_burn)} times as fast as it may`,
      detail: `over ${duration(worst.long_s)} and ${duration(worst.short_s)}; ` +
        `${firing.length} of ${plural(objective.alerts.length, 'alert')} firing`,
      sinceMs: NaN,
      view: 'overview',
    }];
  });
}

function stockProblems(state) {
  return (state.stocks || [])
    .filter((stock) => stock.limit > 0 && stockTone(stock) !== 'good')
    .map((stock) => ({
      id: `stock ${stock.name}`,
      tone: stockTone(stock),
      text: `${STOCK_NAMES[stock.name]?.title || words(stock.name)} is ${percent(stock.level / stock.limit)} full`,
      detail: '',
      sinceMs: NaN,
      view: 'stocks',
    }));
}

/** How stocks are called, and what they are. */
export const STOCK_NAMES = {
  listen_queue: { title: 'Listen queue', text: 'connections no worker has taken yet' },
  door: { title: 'Door', text: 'connections without a request thread' },
  auth: { title: 'Compartment: logins', text: 'logins that hash or wait for it' },
  read: { title: 'Compartment: reads', text: 'reads that run or wait for a permit' },
  write: { title: 'Compartment: writes', text: 'writes that run or wait for a permit' },
  write_queue: { title: 'Write queue', text: 'writes in line for a group commit' },
  wal: { title: 'Write-ahead log', text: 'what the keeper has not yet moved into app.db' },
};

/** A stock's amount with its unit. */
export function amount(stock, value, unit = true) {
  if (stock.unit === 'bytes')
    return bytes(value);
  const text = value === null ? '–' : String(Math.round(value * 10) / 10);
  return unit ? `${text} ${stock.unit}` : text;
}
