/* SPDX-License-Identifier: MIT */
/*
 * Events over time, a lane for each component, with arrows from cause to effect; and the same as a
 * list of words. A tone has a shape of its own, so colour is never the only sign.
 */
'use strict';

import { el, empty, reconcile, replaceWhen, setAttribute, setText, svg } from './dom.js';
import { clock, words } from './format.js';
import { bands, eventLane } from './meaning.js';
import { serverNow } from './model.js';

const LANE = 40, AXIS = 24, MARK = 7, LABEL_WIDE = 104, LABEL_NARROW = 76, LIST_MOST = 200;
const TONES = [['fault', 'fault set'], ['ended', 'fault ended'], ['bad', 'failed'], ['warn', 'limited'], ['good', 'recovered'], ['info', 'other']];
const LANES_FIRST = ['faults', 'database', 'supervisor'];

/** @param {object} model @param {{seconds: number}} span */
export function createTimeline(model, span) {
  const box = document.getElementById('events');
  const view = { model, span, off: new Set(), chain: new Set() };
  let shown = null;
  window.addEventListener('resize', () => shown?.update(true));
  view.changed = () => shown.update(true);

  shown = {
    update(visible) {
      if (!model.state)
        return;
      replaceWhen(box, 'built', () => build(view));
      view.nowMs = serverNow(model);
      const inSpan = model.events.filter((event) => event.atMs >= view.nowMs - span.seconds * 1000);
      const events = inSpan.filter((event) => !view.off.has(event.event));
      updateFilter(view, inSpan);
      updateList(view, events);
      if (visible)
        updatePicture(view, events, Math.max(260, box.clientWidth - 34));
    },
  };
  return shown;
}

function build(view) {
  view.types = el('div', { class: 'types' });
  view.filterHead = el('summary', null, 'Types');
  view.picture = svg('svg', { class: 'lanes', role: 'img', 'aria-label': 'Events by component; the list below says the same' });
  view.list = el('ol', { class: 'event-list' });
  view.none = empty('');
  return [
    el('div', { class: 'card' }, legend(),
      el('details', { class: 'filter' }, view.filterHead,
        el('p', null, el('button', { type: 'button', click: () => chooseAll(view, true) }, 'All'), ' ',
          el('button', { type: 'button', click: () => chooseAll(view, false) }, 'None')),
        view.types),
      view.none, view.picture),
    el('div', { class: 'card' }, el('h2', null, 'In words, newest first'), view.list),
  ];
}

function legend() {
  return el('ul', { class: 'legend', 'aria-label': 'Marks' }, ...TONES.map(([tone, label]) =>
    el('li', null, svg('svg', { viewBox: '-9 -9 18 18', width: 16, height: 16, 'aria-hidden': 'true' }, mark(tone)), label)));
}

/* ---- filter ---- */

function updateFilter(view, events) {
  const counts = new Map();
  for (const event of events)
    counts.set(event.event, (counts.get(event.event) || 0) + 1);
  for (const type of view.off)
    counts.set(type, counts.get(type) || 0); // what is hidden must stay to be shown again
  const types = [...counts].sort(([a], [b]) => a < b ? -1 : 1);
  setText(view.filterHead, `Filter by type: ${types.filter(([type]) => !view.off.has(type)).length} of ${types.length} shown`);
  reconcile(view.types, types, ([type]) => type, ([type]) => {
    const box = el('input', { type: 'checkbox', change: () => choose(view, type, box.checked) });
    return el('label', null, box, ' ', el('span'));
  }, (node, [type, count]) => {
    node.firstElementChild.checked = !view.off.has(type);
    setText(node.lastElementChild, `${words(type)} (${count})`);
  });
}

function choose(view, type, on) {
  if (on)
    view.off.delete(type);
  else
    view.off.add(type);
  view.changed();
}

function chooseAll(view, on) {
  for (const node of view.types.children)
    if (on)
      view.off.delete(node.dataset.key);
    else
      view.off.add(node.dataset.key);
  view.changed();
}

/* ---- picture ---- */

function laneOrder(a, b) {
  const rank = (lane) => LANES_FIRST.includes(lane) ? LANES_FIRST.indexOf(lane) :
    lane.startsWith('worker ') ? 10 + Number(lane.slice(7)) : 1000;
  return rank(a) - rank(b) || (a < b ? -1 : 1);
}

/* Where each event's mark stands: at its moment, but never on the mark before it in its lane. */
function place(events, lanes, scale) {
  const spots = new Map(), next = new Map();
  const byLane = (event) => eventLane(event);
  for (const event of events) {
    const lane = byLane(event);
    const x = Math.max(scale(event.atMs), next.get(lane) ?? -Infinity);
    next.set(lane, x + MARK * 2 + 3);
    spots.set(event.id, { x, y: lanes.indexOf(lane) * LANE + LANE / 2, lane, tone: event.tone });
  }
  return spots;
}

/* What was pushed beyond the right edge moves its lane back to the left. */
function pullBack(spots, right) {
  const limit = new Map();
  for (const spot of [...spots.values()].reverse()) {
    spot.x = Math.min(spot.x, limit.get(spot.lane) ?? right);
    limit.set(spot.lane, spot.x - MARK * 2 - 3);
  }
}

function updatePicture(view, events, width) {
  setText(view.none, events.length ? '' : 'No events in this time.');
  setAttribute(view.none, 'hidden', events.length ? 'hidden' : null);
  const label = width < 500 ? LABEL_NARROW : LABEL_WIDE;
  const lanes = [...new Set(events.map(eventLane))].sort(laneOrder);
  const fromMs = view.nowMs - view.span.seconds * 1000, right = width - MARK - 2;
  const scale = (atMs) => label + MARK + (atMs - fromMs) / (view.span.seconds * 1000) * (right - label - MARK);
  const spots = place(events, lanes, scale);
  pullBack(spots, right);
  const height = events.length ? lanes.length * LANE + AXIS : 0;
  setAttribute(view.picture, 'width', width);
  setAttribute(view.picture, 'height', height);
  setAttribute(view.picture, 'viewBox', `0 0 ${width} ${height}`);
  view.picture.replaceChildren(arrowHead(),
    ...lanes.map((lane, i) => laneNode(lane, i, label, width)),
    ...bandNodes(view, lanes, scale, label),
    ...axisNodes(view, scale, lanes.length * LANE, fromMs, label, width),
    ...events.flatMap((event) => arrowNodes(event, spots, view.chain)),
    ...events.map((event) => markNode(view, event, spots.get(event.id))));
}

function arrowHead() {
  return svg('defs', null, svg('marker', { id: 'head', viewBox: '0 0 8 8', refX: 7, refY: 4,
    markerWidth: 7, markerHeight: 7, orient: 'auto' }, svg('path', { d: 'M0 0 8 4 0 8z', class: 'arrow-head' })));
}

function laneNode(lane, i, label, width) {
  return svg('g', { class: 'lane' },
    svg('line', { x1: label, x2: width, y1: i * LANE + LANE / 2, y2: i * LANE + LANE / 2 }),
    svg('text', { x: 0, y: i * LANE + LANE / 2 + 4 }, lane));
}

function bandNodes(view, lanes, scale, label) {
  return bands(view.model.events, view.nowMs).filter((band) => lanes.includes(band.lane) && scale(band.toMs) > label).map((band) => {
    const x = Math.max(label, scale(band.fromMs));
    return svg('rect', { class: `band ${band.tone}`, x, width: Math.max(2, scale(band.toMs) - x),
      y: lanes.indexOf(band.lane) * LANE + LANE / 2 - 4, height: 8 });
  });
}

function axisNodes(view, scale, y, fromMs, label, width) {
  const every = Math.max(1, Math.ceil(view.span.seconds / Math.max(1, Math.floor((width - label) / 90)) / 10)) * 10000;
  const nodes = [];
  for (let at = Math.ceil(fromMs / every) * every; at <= view.nowMs; at += every)
    if (scale(at) > label + 26 && scale(at) < width - 26)
      nodes.push(svg('g', { class: 'tick' }, svg('line', { x1: scale(at), x2: scale(at), y1: 0, y2: y }),
        svg('text', { x: scale(at), y: y + 16 }, clock(at))));
  return nodes;
}

/* From the cause to the event: a curve, so that arrows within one lane are seen beside its line. */
function arrowNodes(event, spots, chain) {
  const from = spots.get(event.cause_id), to = spots.get(event.id);
  if (!from)
    return [];
  const side = to.y > from.y ? 1 : -1, endY = to.y - side * (MARK + 2);
  const path = from.lane === to.lane ?
    `M${from.x} ${from.y - MARK} Q${(from.x + to.x) / 2} ${from.y - MARK - 14} ${to.x} ${to.y - MARK - 2}` :
    `M${from.x} ${from.y + side * MARK} L${to.x} ${endY}`;
  /* That a process was started long ago explains little of what befell it. */
  const weak = from.tone === 'info' && to.x - from.x > 60 ? ' weak' : '';
  return [svg('path', { class: `arrow${weak}${chain.has(event.id) && chain.has(event.cause_id) ? ' lit' : ''}`, d: path,
    'data-from': event.cause_id, 'data-to': event.id, 'marker-end': 'url(#head)' })];
}

const SHAPES = {
  fault: 'M0 -7 7 6 -7 6z',
  ended: 'M0 -6 6 5 -6 5z',
  bad: 'M-6 -6 6 6M6 -6 -6 6',
  warn: 'M0 -7 7 0 0 7 -7 0z',
  good: 'M-6 0 -2 5 6 -5',
  info: 'M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0',
};

function shapeOf(event) {
  return event.event === 'fault_end' ? 'ended' : event.tone;
}

function mark(shape) {
  return svg('path', { class: `shape ${shape}`, d: SHAPES[shape] });
}

function markNode(view, event, { x, y }) {
  const node = svg('g', { class: 'event', transform: `translate(${x.toFixed(1)} ${y})`, 'data-event': event.event, 'data-id': event.id,
    click: () => reveal(view, event.id),
    pointerenter: () => light(view, event.id),
    pointerleave: () => light(view, null) },
  svg('circle', { class: 'halo', r: MARK + 2 }), mark(shapeOf(event)),
  svg('title', null, `${clock(event.atMs, true)} ${words(event.event)}: ${event.text}`));
  return node;
}

/* An event, what led to it, and what came of it. */
function chainOf(events, id) {
  const chain = new Set([id]);
  for (const event of [...events].reverse()) // an effect is always younger than its cause
    if (chain.has(event.id) && event.cause_id)
      chain.add(event.cause_id);
  const after = new Set([id]);
  for (const event of events)
    if (after.has(event.cause_id))
      after.add(event.id);
  return new Set([...chain, ...after]);
}

function light(view, id) {
  view.chain = id === null ? new Set() : chainOf(view.model.events, id);
  for (const path of view.picture.querySelectorAll('.arrow'))
    path.classList.toggle('lit', view.chain.has(Number(path.dataset.from)) && view.chain.has(Number(path.dataset.to)));
}

/* ---- list ---- */

function updateList(view, events) {
  const newest = events.slice(-LIST_MOST).reverse();
  reconcile(view.list, newest, (event) => event.id, (event) => listItem(view, event));
}

function listItem(view, event) {
  const cause = view.model.events.find((candidate) => candidate.id === event.cause_id);
  const because = !event.cause_id ? null : el('p', { class: 'because' }, 'because of ',
    cause ? el('button', { type: 'button', class: 'plain', click: () => reveal(view, cause.id) },
      `${words(cause.event)}, ${clock(cause.atMs, true)}`) : `event ${event.cause_id}`);
  return el('li', { tabindex: -1, focusin: () => light(view, event.id), focusout: () => light(view, null), 'data-event': event.event, 'data-id': event.id },
    svg('svg', { viewBox: '-9 -9 18 18', width: 18, height: 18, 'aria-hidden': 'true' }, mark(shapeOf(event))),
    el('time', { datetime: event.ts }, clock(event.atMs, true)), ' ',
    el('strong', null, words(event.event)), ' ',
    el('span', { class: 'lane-name' }, eventLane(event)), ' ',
    el('div', { class: 'what' }, el('p', { class: 'detail' }, event.text), because));
}

function reveal(view, id) {
  const item = [...view.list.children].find((node) => node.dataset.id === String(id));
  if (!item)
    return;
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  item.scrollIntoView({ block: 'center', behavior: calm ? 'auto' : 'smooth' });
  item.focus({ preventScroll: true });
}
