/* SPDX-License-Identifier: MIT */
/* A tile for each worker and helper: its state, its life, what its threads do, its breakers. */
'use strict';

import { el, reconcile, setAttribute, setText, svg } from './dom.js';
import { clock, duration, ms, number, plural, words } from './format.js';
import { helpers, slotTone, workers } from './meaning.js';
import { serverNow } from './model.js';

/* In the order a request goes through them; idle last. */
const STAGES = ['read_header', 'read_body', 'handle', 'queue', 'hash', 'db', 'gate', 'commit',
  'write_response', 'between_requests', 'idle'];
const BREAKER_TONES = { closed: 'good', disabled: 'idle', open: 'bad', forced_open: 'bad', half_open: 'warn' };
const LATE_HEARTBEAT_MS = 1000;
const RECENT_MS = 10000;

export function createWorkers(model) {
  const at = (id) => document.getElementById(id);
  return {
    update() {
      const state = model.state;
      if (!state)
        return;
      const fleet = state.fleet, nowMs = serverNow(model);
      setText(at('workers-note'), `${plural(fleet.configured, 'worker')}: ${fleet.ready} ready, ` +
        `${fleet.degraded} degraded, ${fleet.restarting} restarting, ${fleet.quarantined} quarantined, ` +
        `${fleet.draining} draining. CPU ${number(fleet.cpu_percent)} %.`);
      reconcile(at('tiles'), workers(state), (slot) => slot.slot, createTile,
        (tile, slot) => updateTile(tile, slot, model.events, nowMs));
      reconcile(at('helpers'), helpers(state), (slot) => slot.slot, createHelper,
        (tile, slot) => updateFacts(tile, slot, model.events, nowMs));
    },
  };
}

/* ---- a tile ---- */

function head(slot, level) {
  return el('div', { class: 'tile-head' },
    el(level, null, slot.kind === 'worker' ? `Worker ${slot.slot}` : slot.kind),
    el('p', { class: 'state' }, el('span', { class: 'mark', 'aria-hidden': 'true' }), el('span', { class: 'state-word' })));
}

const FACTS = { pid: 'pid', generation: 'generation', uptime: 'uptime', heartbeat: 'heartbeat age' };
const WORKER_FACTS = { ...FACTS, restarts: 'restarts', requests: 'open requests' };

function facts(names) {
  return el('dl', { class: 'facts' }, ...Object.entries(names).map(([name, label]) =>
    el('div', null, el('dt', null, label), el('dd', { 'data-fact': name }))));
}

function createTile(slot) {
  return el('article', { class: 'card tile', 'data-slot': slot.slot, 'aria-label': `Worker ${slot.slot}` },
    head(slot, 'h2'),
    facts(WORKER_FACTS),
    el('p', { class: 'last-death' }),
    el('h3', null, 'Threads'),
    svg('svg', { class: 'stages', viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': 'true' }),
    el('ul', { class: 'stage-list' }),
    el('h3', null, 'Breakers'),
    el('ul', { class: 'breakers' }));
}

function createHelper(slot) {
  return el('article', { class: 'card tile', 'aria-label': slot.kind }, head(slot, 'h3'), facts(FACTS),
    el('p', { class: 'last-death' }));
}

function updateTile(tile, slot, events, nowMs) {
  updateFacts(tile, slot, events, nowMs);
  updateThreads(tile, slot.threads || {});
  updateBreakers(tile.querySelector('.breakers'), slot.breakers || {});
}

function updateFacts(tile, slot, events, nowMs) {
  const restarted = slot.restarts > 0 && nowMs - Date.parse(slot.started_at) < RECENT_MS;
  setAttribute(tile, 'data-tone', slotTone(slot.state));
  setAttribute(tile, 'data-recent', restarted ? 'yes' : null);
  setAttribute(tile.querySelector('.state'), 'data-tone', slotTone(slot.state));
  setText(tile.querySelector('.state-word'), words(slot.state));
  const values = {
    pid: slot.pid ?? '–',
    generation: number(slot.generation),
    uptime: slot.pid && slot.started_at ? duration((nowMs - Date.parse(slot.started_at)) / 1000) : '–',
    restarts: number(slot.restarts),
    heartbeat: slot.heartbeat_age_ms === undefined ? '–' : ms(slot.heartbeat_age_ms),
    requests: number(slot.open_requests),
  };
  for (const node of tile.querySelectorAll('[data-fact]'))
    setText(node, values[node.dataset.fact]);
  setAttribute(tile.querySelector('[data-fact=heartbeat]'), 'data-tone',
    slot.heartbeat_age_ms > LATE_HEARTBEAT_MS ? 'bad' : null);
  const death = tile.querySelector('.last-death');
  setText(death, lastDeath(slot, events));
  setAttribute(death, 'data-tone', restarted ? 'bad' : null);
}

/* The event says more than the class, as long as it is kept. */
function lastDeath(slot, events) {
  if (!slot.last_death)
    return 'Never died.';
  const event = events.findLast((candidate) => candidate.slot === slot.slot &&
    ['worker_died', 'worker_stopped'].includes(candidate.event));
  if (!event)
    return `Last death: ${words(slot.last_death)}`;
  const why = event.text.replace(/^.*?pid \d+: /, '');
  return `Last death: ${clock(event.atMs)}, ${why}`;
}

/* ---- threads and breakers ---- */

function updateThreads(tile, threads) {
  const total = Object.values(threads).reduce((sum, count) => sum + count, 0);
  const present = STAGES.filter((stage) => threads[stage]);
  let x = 0;
  const bars = present.map((stage) => {
    const width = threads[stage] / total * 100;
    const bar = { stage, x, width };
    x += width;
    return bar;
  });
  reconcile(tile.querySelector('.stages'), bars, (bar) => bar.stage,
    (bar) => svg('rect', { y: 0, height: 8, class: `stage-${bar.stage}` }),
    (node, bar) => {
      setAttribute(node, 'x', bar.x.toFixed(2));
      setAttribute(node, 'width', bar.width.toFixed(2));
    });
  reconcile(tile.querySelector('.stage-list'), present, (stage) => stage,
    (stage) => el('li', null, el('span', { class: `swatch stage-${stage}`, 'aria-hidden': 'true' }), el('span')),
    (node, stage) => setText(node.lastElementChild, `${words(stage)} ${threads[stage]}`));
}

function updateBreakers(list, breakers) {
  const known = Object.entries(breakers).filter(([, breaker]) => breaker);
  reconcile(list, known, ([name]) => name,
    ([name]) => el('li', null, el('span', { class: 'mark', 'aria-hidden': 'true' }),
      el('span', null, words(name)), ' ', el('strong'), ' ', el('span', { class: 'detail' })),
    (node, [, breaker]) => {
      setAttribute(node, 'data-tone', BREAKER_TONES[breaker.state] || 'idle');
      setText(node.querySelector('strong'), words(breaker.state));
      const probe = breaker.next_probe_ms === null ? '' : `, tries again in ${duration(breaker.next_probe_ms / 1000)}`;
      setText(node.querySelector('.detail'),
        `${breaker.failed} failed, ${breaker.slow} slow of ${number(breaker.calls)}${probe}`);
    });
}
