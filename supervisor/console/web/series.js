/* SPDX-License-Identifier: MIT */
/*
 * Time series, drawn by dygraphs (global Dygraph, Debian's libjs-dygraphs): small charts with one
 * time window and one cursor. Its legend is not used: it writes inline styles, which the page's
 * policy forbids. Lines differ by dash as well as by colour.
 */
'use strict';

import { colour, el, empty, reconcile, replaceWhen, setAttribute, setText } from './dom.js';
import { bytes, clock, ms, number, words } from './format.js';
import { bands, eventLane } from './meaning.js';
import { historyValue, serverNow } from './model.js';

const line = (series, label, ink, dash = null) => ({ series, label, ink: `--line-${ink}`, dash });
/* Without its legend plugin, which sets style attributes even when it shows nothing. */
function withoutLegend() {
  const { Dygraph } = globalThis;
  Dygraph.PLUGINS = Dygraph.PLUGINS.filter((plugin) => plugin !== Dygraph.Plugins.Legend);
}

const DASH = [6, 3], DOT = [2, 3], DASH_DOT = [7, 3, 2, 3];

const CHARTS = [
  { id: 'traffic', title: 'Served and refused', unit: 'per second', format: number, lines: [
    line('served_per_s', 'served', 1), line('refused_per_s', 'refused', 3, DASH)] },
  { id: 'latency', title: 'Duration of requests', unit: 'milliseconds', format: ms, lines: [
    line('p50_ms', 'p50', 1), line('p95_ms', 'p95', 4, DASH), line('p99_ms', 'p99', 2, DOT)] },
  { id: 'errors', title: 'Errors by cause', unit: 'per second', format: number, lines: [
    line('status_500_per_s', '500 failed', 2), line('status_503_per_s', '503 refused', 3, DASH),
    line('status_504_per_s', '504 too late', 4, DOT), line('lost_per_s', 'lost', 5, DASH_DOT)] },
  { id: 'refusals', title: 'Refusals by cause', unit: 'per second', format: number, lines: [
    line('refused_database_per_s', 'database', 2), line('refused_circuit_open_per_s', 'breaker', 5, DASH),
    line('refused_overloaded_per_s', 'overload', 3, DOT), line('refused_full_per_s', 'full', 4, DASH_DOT),
    line('refused_deadline_per_s', 'deadline', 1, DASH), line('rate_limited_per_s', 'rate limit', 6)] },
  { id: 'listen', title: 'Listen queue', unit: 'connections', format: number, lines: [
    line('listen_queue_depth', 'waiting', 1), line('listen_drops_per_s', 'dropped /s', 2, DASH)] },
  { id: 'door', title: 'Door', unit: 'connections', format: number, lines: [
    line('door_parked', 'at the door', 1), line('http_inflight', 'in a thread', 4, DASH)] },
  { id: 'waits', title: 'Waits: lock and door', unit: 'milliseconds, p95', format: ms, lines: [
    line('lock_wait_p95_ms', 'write lock', 5), line('door_wait_p95_ms', 'door', 1, DASH)] },
  { id: 'wal', title: 'Write-ahead log', unit: 'bytes', format: bytes, lines: [
    line('wal_bytes', 'size', 1)] },
];
const TABLE_ROWS = 10, MARKS_MOST = 12;

/** @param {object} model @param {{seconds: number}} span */
export function createSeries(model, span) {
  const box = document.getElementById('charts');
  withoutLegend();
  const shared = { model, span, cursor: null, bands: [], deaths: [], charts: [], end: 0 };
  window.addEventListener('themechange', () => shared.charts.forEach(paint));

  return {
    update(visible) {
      if (!visible)
        return;
      if (model.history.rows.size === 0) {
        replaceWhen(box, 'none', () => [empty('No data yet: the console has no history.')]);
        return;
      }
      replaceWhen(box, 'some', () => {
        shared.charts = CHARTS.map((definition) => createChart(definition, shared));
        return shared.charts.map((chart) => chart.node);
      });
      shared.end = Math.floor(model.history.last);
      shared.bands = bands(model.events, serverNow(model));
      shared.deaths = model.events.filter((event) => ['worker_died', 'worker_hung'].includes(event.event));
      updateMarks(document.getElementById('marks'), shared);
      shared.charts.forEach(refreshChart);
    },
  };
}

/* ---- one chart ---- */

function createChart(definition, shared) {
  const plot = el('div', { class: 'plot', tabindex: 0, role: 'img' });
  const legend = el('ul', { class: 'legend' });
  const table = el('table', { class: 'data' });
  const details = el('details', null, el('summary', null, `Last ${TABLE_ROWS} seconds as a table`), table);
  const node = el('article', { class: 'card chart', 'data-chart': definition.id },
    el('h2', null, definition.title, ' ', el('small', null, definition.unit)), legend, plot, details);
  const chart = { definition, shared, node, plot, legend, table, details, graph: null };
  plot.addEventListener('keydown', (event) => moveCursor(event, shared));
  plot.addEventListener('blur', () => setCursor(shared, null));
  details.addEventListener('toggle', () => refreshTable(chart));
  return chart;
}

function secondsShown({ shared: { span, end } }) {
  return Array.from({ length: span.seconds + 1 }, (_, i) => end - span.seconds + i);
}

function rowsOf(chart) {
  const { model } = chart.shared;
  return secondsShown(chart).map((t) =>
    [new Date(t * 1000), ...chart.definition.lines.map(({ series }) => historyValue(model, series, t))]);
}

function refreshChart(chart) {
  const { shared } = chart;
  const data = rowsOf(chart);
  const window = { dateWindow: [(shared.end - shared.span.seconds) * 1000, shared.end * 1000] };
  const most = Math.max(0, ...data.flatMap((row) => row.slice(1)).filter((value) => value !== null));
  /* The names of bands stand above the lines. */
  const room = shared.bands.some((band) => band.toMs >= window.dateWindow[0]) ? 1.4 : 1.15;
  const range = { valueRange: [0, (most || 1) * room] };
  if (!chart.graph) {
    chart.graph = new globalThis.Dygraph(chart.plot, data, { ...options(chart), ...window, ...range });
    paint(chart);
  } else {
    fit(chart);
    chart.graph.updateOptions({ file: data, ...window, ...range });
  }
  refreshLegend(chart);
  refreshTable(chart);
}

/* A chart that was resized while its view was hidden has no size. */
function fit(chart) {
  if (chart.width !== chart.plot.clientWidth)
    chart.graph.resize();
  chart.width = chart.plot.clientWidth;
}

function options(chart) {
  const { definition, shared } = chart;
  const axis = { axisLabelFontSize: 11 };
  return {
    labels: ['time', ...definition.lines.map(({ label }) => label)],
    interactionModel: {}, // no zoom: all charts keep one window
    labelsKMG2: definition.format === bytes, // ticks at round binary numbers
    strokeWidth: 1.6,
    highlightCircleSize: 3,
    axes: {
      x: { ...axis, drawGrid: false, axisLabelWidth: 60, pixelsPerLabel: 80,
        axisLabelFormatter: (date) => clock(date.getTime()) },
      y: { ...axis, axisLabelWidth: 58, pixelsPerLabel: 34, axisLabelFormatter: definition.format },
    },
    highlightCallback: (event, x) => setCursor(shared, Math.round(x / 1000)),
    unhighlightCallback: () => setCursor(shared, null),
    underlayCallback: (context, area, graph) => drawUnderlay(context, area, graph, shared),
  };
}

/* Colours are taken from the style, so they follow the theme. */
function paint(chart) {
  if (!chart.graph)
    return;
  const series = {};
  for (const { label, ink, dash } of chart.definition.lines)
    series[label] = { color: colour(ink), strokePattern: dash };
  chart.graph.updateOptions({ series, gridLineColor: colour('--line'), axisLineColor: colour('--line') });
}

/* ---- what lies beneath the lines ---- */

function drawUnderlay(context, area, graph, shared) {
  context.save();
  context.beginPath();
  context.rect(area.x, area.y, area.w, area.h);
  context.clip();
  const taken = []; // where names of bands stand already
  for (const band of [...shared.bands].reverse()) // the newest first: it gets the room
    drawBand(context, area, graph, band, taken);
  for (const death of shared.deaths)
    drawDeath(context, area, graph.toDomXCoord(death.atMs));
  if (shared.cursor !== null)
    drawCursor(context, area, graph.toDomXCoord(shared.cursor * 1000));
  context.restore();
}

function drawBand(context, area, graph, band, taken) {
  const left = graph.toDomXCoord(band.fromMs);
  const right = Math.max(graph.toDomXCoord(band.toMs), left + 3);
  if (right < area.x || left > area.x + area.w)
    return;
  const isFault = band.tone === 'fault', ink = colour(isFault ? '--fault' : '--bad');
  context.fillStyle = colour(isFault ? '--band-fault' : '--band-bad');
  context.fillRect(left, area.y, right - left, area.h);
  hatch(context, area, left, right, ink);
  drawLabel(context, area, band.label, left, ink, taken);
}

/* Near the right edge it ends there instead of being cut off; in the second row when the first is
   taken; not at all when both are: the list above the charts names every band. */
function drawLabel(context, area, text, left, ink, taken) {
  context.font = '600 11px system-ui, sans-serif';
  const width = context.measureText(text).width;
  const x = Math.min(Math.max(left, area.x) + 4, area.x + area.w - width - 4);
  const free = (row) => !taken.some((spot) => spot.row === row && x < spot.to && x + width + 8 > spot.from);
  const row = [0, 1].find(free);
  if (row === undefined)
    return;
  taken.push({ row, from: x, to: x + width + 8 });
  const y = area.y + 12 + row * 14;
  context.fillStyle = colour('--surface');
  context.globalAlpha = 0.8;
  context.fillRect(x - 2, y - 10, width + 4, 13);
  context.globalAlpha = 1;
  context.fillStyle = ink;
  context.fillText(text, x, y);
}

/* A strip of slanted lines along the bottom: a band is told without its colour. */
function hatch(context, area, left, right, ink) {
  context.save();
  context.beginPath();
  context.rect(left, area.y + area.h - 5, right - left, 5);
  context.clip();
  context.strokeStyle = ink;
  context.globalAlpha = 0.6;
  for (let x = Math.max(left, area.x) - 8; x < Math.min(right, area.x + area.w); x += 5) {
    context.beginPath();
    context.moveTo(x, area.y + area.h);
    context.lineTo(x + 5, area.y + area.h - 5);
    context.stroke();
  }
  context.restore();
}

function drawDeath(context, area, x) {
  context.save();
  context.strokeStyle = colour('--bad');
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(x, area.y);
  context.lineTo(x, area.y + area.h);
  context.stroke();
  context.restore();
}

function drawCursor(context, area, x) {
  context.strokeStyle = colour('--muted');
  context.strokeRect(x, area.y - 1, 0.01, area.h + 2);
}

/* ---- the cursor all charts share ---- */

function setCursor(shared, second) {
  if (shared.cursor === second)
    return;
  shared.cursor = second;
  for (const chart of shared.charts) {
    chart.graph?.updateOptions({}, false);
    refreshLegend(chart);
  }
}

function moveCursor(event, shared) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
  if (event.key === 'Escape')
    setCursor(shared, null);
  if (!(event.key in steps))
    return;
  event.preventDefault();
  const from = shared.cursor ?? shared.end;
  setCursor(shared, Math.min(shared.end, Math.max(shared.end - shared.span.seconds, from + steps[event.key])));
}

/* ---- words ---- */

/* What is shaded and dashed in the charts, as a list. */
function updateMarks(list, { bands: all, deaths, span, end }) {
  const from = (end - span.seconds) * 1000;
  const until = (band) => band.open ? 'now' : clock(band.toMs);
  const marks = [
    ...all.filter((band) => band.toMs >= from).map((band) =>
      ({ tone: band.tone, text: `${band.label}, ${clock(band.fromMs)} to ${until(band)}`, atMs: band.fromMs })),
    ...deaths.filter((event) => event.atMs >= from).map((event) =>
      ({ tone: 'bad', text: `${eventLane(event)} ${words(event.event.slice(7))}, ${clock(event.atMs)}`, atMs: event.atMs })),
  ].sort((a, b) => b.atMs - a.atMs);
  reconcile(list, marks.slice(0, MARKS_MOST), (mark) => `${mark.atMs} ${mark.text.split(',')[0]}`,
    ({ tone }) => el('li', { 'data-tone': tone }, el('span', { class: 'mark', 'aria-hidden': 'true' }), el('span')),
    (node, mark) => setText(node.lastElementChild, mark.text));
}

function refreshLegend(chart) {
  const { model, cursor, end } = chart.shared;
  const second = cursor ?? end, { format } = chart.definition;
  const value = ({ series }) => format(historyValue(model, series, second));
  reconcile(chart.legend, [{ label: 'at' }, ...chart.definition.lines], ({ label }) => label,
    (item) => item.series ? el('li', null, swatch(item), item.label, ' ', el('strong')) : el('li', { class: 'when' }),
    (node, item) => setText(item.series ? node.lastElementChild : node, item.series ? value(item) : clock(second * 1000)));
  setAttribute(chart.plot, 'aria-label', `${chart.definition.title} at ${clock(second * 1000)}: ` +
    chart.definition.lines.map((item) => `${item.label} ${value(item)}`).join(', '));
}

function swatch({ ink, dash }) {
  const node = el('span', { class: 'dash', 'aria-hidden': 'true' });
  node.style.borderTopColor = `var(${ink})`;
  node.style.borderTopStyle = !dash ? 'solid' : dash === DOT ? 'dotted' : 'dashed';
  return node;
}

function refreshTable(chart) {
  if (!chart.details.open)
    return;
  const { format, lines, title } = chart.definition;
  const rows = rowsOf(chart).slice(-TABLE_ROWS).reverse();
  chart.table.replaceChildren(
    el('caption', { class: 'unseen' }, title),
    el('thead', null, el('tr', null, ...['time', ...lines.map(({ label }) => label)].map((label) => el('th', { scope: 'col' }, label)))),
    el('tbody', null, ...rows.map(([date, ...values]) => el('tr', null,
      el('th', { scope: 'row' }, clock(date.getTime())), ...values.map((value) => el('td', null, format(value)))))));
}
