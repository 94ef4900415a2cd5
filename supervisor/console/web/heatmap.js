/* SPDX-License-Identifier: MIT */
/*
 * Component by time. A level is a colour and a height: the fuller a cell, the worse. The canvas is
 * read by keyboard or pointer, cell by cell; the table beneath has the newest and the worst moment.
 */
'use strict';

import { colour, el, empty, reconcile, replaceWhen, setAttribute, setText } from './dom.js';
import { clock, ms, number, percent } from './format.js';
import { CRITICAL, LEVELS, cellLevel, downIntervals } from './meaning.js';
import { serverNow } from './model.js';

const ROW = 26, GAP = 6, AXIS = 22, LABEL_WIDE = 120, LABEL_NARROW = 84, LEAST_CELL = 4;
const STEPS = [1, 2, 5, 10, 20];
const COLUMNS = ['now', 'worst in this time', 'when'];
const INKS = ['--level-0', '--level-1', '--level-2', '--level-3'];

/** @param {object} model @param {{seconds: number}} span */
export function createHeatmap(model, span) {
  const box = document.getElementById('heat');
  const view = { model, span, canvas: null, cursor: null, grid: null };
  let shown = null;
  window.addEventListener('themechange', () => view.grid && draw(view));
  window.addEventListener('resize', () => shown?.update(true));

  shown = {
    update(visible) {
      if (model.components.rows.size === 0) {
        replaceWhen(box, 'none', () => [empty('No data yet: the console keeps no components.')]);
        return;
      }
      replaceWhen(box, 'some', () => build(view));
      view.grid = gridOf(view, Math.max(260, box.clientWidth - 34));
      updateTable(view);
      if (visible)
        draw(view);
    },
  };
  return shown;
}

function build(view) {
  view.canvas = el('canvas', { tabindex: 0, role: 'application', 'aria-roledescription': 'heat map',
    'aria-label': 'Heat map', 'aria-describedby': 'heat-help heat-reading' });
  view.reading = el('p', { id: 'heat-reading', class: 'reading', role: 'status' },
    'Point at a cell to read it.');
  view.table = el('tbody', { role: 'rowgroup' });
  view.canvas.addEventListener('pointermove', (event) => point(view, event));
  view.canvas.addEventListener('pointerdown', (event) => point(view, event));
  view.canvas.addEventListener('pointerleave', (event) => {
    if (event.pointerType !== 'touch') // a finger leaves with every tap
      select(view, null);
  });
  view.canvas.addEventListener('blur', () => select(view, null));
  view.canvas.addEventListener('keydown', (event) => move(view, event));
  return [
    el('div', { class: 'card' }, legend(), view.canvas, view.reading),
    el('div', { class: 'card' }, el('h2', null, 'In words'),
      el('table', { role: 'table', class: 'data stack left' },
        el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...['component', ...COLUMNS].map(
          (label) => el('th', { role: 'columnheader', scope: 'col' }, label)))), view.table)),
  ];
}

function legend() {
  const items = LEVELS.map((level, i) => el('li', null,
    el('span', { class: `level-swatch level-${i}`, 'aria-hidden': 'true' }),
    el('strong', null, level.name), ` ${level.text}`));
  return el('ul', { class: 'legend levels', 'aria-label': 'Levels' }, ...items,
    el('li', null, el('span', { class: 'level-swatch level-idle', 'aria-hidden': 'true' }), el('strong', null, 'idle'), ' no requests; blank: no data'),
    el('li', null, el('span', { class: 'level-swatch level-down', 'aria-hidden': 'true' }, '×'), el('strong', null, 'down'), ' it died, or cannot be used'));
}

/* ---- cells ---- */

/* Columns of `step` seconds, each the worst of its seconds. */
function gridOf({ model, span }, width) {
  const { rows, last } = model.components;
  const label = width < 500 ? LABEL_NARROW : LABEL_WIDE;
  const room = width - label;
  const step = STEPS.find((seconds) => room / (span.seconds / seconds) >= LEAST_CELL) || STEPS.at(-1);
  const end = Math.ceil((Math.floor(last) + 1) / step) * step;
  const count = Math.floor(span.seconds / step);
  const down = downIntervals(model.events, model.state.slots, serverNow(model));
  const columns = Array.from({ length: count }, (_, i) => end - (count - i) * step);
  const shown = used(model.components, down);
  const cells = shown.map(({ component, row }) => columns.map((from) =>
    worstOf(rows, down.get(component.id), row, from, step)));
  return { list: shown.map(({ component }) => component), columns, cells, step, label, width, cell: room / count };
}

/* Components of which anything was ever known: not the slot that is kept for a successor. */
function used({ list, rows }, down) {
  const known = new Set();
  for (const cells of rows.values())
    cells.forEach((cell, row) => cell && known.add(row));
  return list.map((component, row) => ({ component, row }))
    .filter(({ component, row }) => known.has(row) || down.has(component.id));
}

function worstOf(rows, intervals, row, from, step) {
  let worst = { at: from, level: -1, values: null, down: false, known: false };
  for (let t = from; t < from + step; t++) {
    const cells = rows.get(t);
    if (!cells)
      continue;
    const values = cells[row], level = cellLevel(values);
    if (!worst.known || level > worst.level)
      worst = { at: t, level, values, down: false, known: true };
  }
  if (intervals?.some(({ fromMs, toMs }) => toMs >= from * 1000 && fromMs < (from + step) * 1000))
    worst = { ...worst, level: CRITICAL, down: true, known: true };
  return worst;
}

function reading(grid, row, column) {
  const cell = grid.cells[row][column], name = grid.list[row].label;
  const when = clock((cell.known ? cell.at : grid.columns[column]) * 1000);
  if (!cell.known)
    return `${name}, ${when}: no data.`;
  return `${name}, ${when}: ${levelWords(cell)}${cellWords(cell)}.`;
}

function levelWords(cell) {
  return cell.down ? 'down' : cell.level < 0 ? 'idle' : LEVELS[cell.level].name;
}

function cellWords({ values }) {
  if (!values || !(values[0] > 0 || values[1] > 0))
    return '';
  const p95 = typeof values[2] === 'number' ? `, p95 ${ms(values[2])}` : '';
  return `; ${number(values[0])} /s, ${percent(values[1])} errors${p95}`;
}

/* ---- drawing ---- */

function draw(view) {
  const { canvas, grid } = view;
  const height = grid.list.length * ROW + groupGaps(grid.list).at(-1) + AXIS;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = grid.width * ratio;
  canvas.height = height * ratio;
  canvas.style.width = `${grid.width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  context.textBaseline = 'middle';
  const gaps = groupGaps(grid.list);
  grid.list.forEach((component, row) => drawRow(context, view, component, row, row * ROW + gaps[row]));
  drawAxis(context, grid, height);
  drawCursor(context, view, gaps);
}

/* A little room between groups of components. */
function groupGaps(list) {
  let gap = 0;
  return list.map((component, i) => {
    if (i > 0 && component.group !== list[i - 1].group)
      gap += GAP;
    return gap;
  });
}

function drawRow(context, { grid }, component, row, y) {
  context.font = '13px system-ui, sans-serif';
  context.textAlign = 'left';
  context.fillStyle = colour('--text');
  context.fillText(component.label, 0, y + ROW / 2, grid.label - 8);
  const inks = INKS.map(colour), rest = colour('--level-rest'), mark = colour('--on-level');
  let crossed = -Infinity; // one cross to a cell, but never one on the other
  grid.cells[row].forEach((cell, column) => {
    const x = grid.label + column * grid.cell, width = Math.max(1, grid.cell - (grid.cell > 3 ? 1 : 0));
    if (!cell.known)
      return;
    context.fillStyle = rest;
    context.fillRect(x, y + 2, width, ROW - 4);
    if (cell.level < 0)
      return;
    const height = (ROW - 4) * (cell.level + 1) / LEVELS.length;
    context.fillStyle = inks[cell.level];
    context.fillRect(x, y + ROW - 2 - height, width, height);
    if (cell.down && x >= crossed + 9) {
      drawCross(context, x + width / 2, y + ROW / 2, mark);
      crossed = x;
    }
  });
}

function drawCross(context, x, y, ink) {
  context.strokeStyle = ink;
  context.lineWidth = 1.5;
  context.beginPath();
  for (const side of [-1, 1]) {
    context.moveTo(x - 2.5, y - 2.5 * side);
    context.lineTo(x + 2.5, y + 2.5 * side);
  }
  context.stroke();
}

function drawAxis(context, grid, height) {
  const every = Math.ceil(84 / grid.cell);
  context.font = '11px system-ui, sans-serif';
  context.fillStyle = colour('--muted');
  for (let column = grid.columns.length - 1; column >= 0; column -= every) {
    const last = column === grid.columns.length - 1;
    const x = grid.label + (column + (last ? 1 : 0.5)) * grid.cell;
    if (x - 26 < grid.label)
      break;
    context.textAlign = last ? 'right' : 'center';
    context.fillText(clock(grid.columns[column] * 1000), x, height - AXIS / 2 + 2);
  }
}

function drawCursor(context, { cursor, grid }, gaps) {
  if (!cursor || cursor.row >= grid.list.length)
    return;
  const column = columnOf(grid, cursor.at);
  context.strokeStyle = colour('--text');
  context.lineWidth = 2;
  context.strokeRect(grid.label + column * grid.cell - 1, cursor.row * ROW + gaps[cursor.row] + 1, grid.cell + 1, ROW - 2);
}

/* ---- reading a cell ---- */

/* The cursor stays at its moment while the map moves on. */
function columnOf(grid, at) {
  return Math.max(0, grid.columns.findLastIndex((from) => from <= at));
}

function select(view, cursor) {
  view.cursor = cursor;
  setText(view.reading, cursor ? reading(view.grid, cursor.row, columnOf(view.grid, cursor.at)) : 'Point at a cell to read it.');
  draw(view);
}

function point(view, event) {
  const { grid } = view, gaps = groupGaps(grid.list);
  const column = Math.floor((event.offsetX - grid.label) / grid.cell);
  const row = gaps.findLastIndex((gap, i) => event.offsetY >= i * ROW + gap);
  if (row < 0 || row >= grid.list.length || column < 0 || column >= grid.columns.length)
    return;
  select(view, { row, at: grid.columns[column] });
}

function move(view, event) {
  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -1e6], End: [0, 1e6] };
  const by = moves[event.key];
  if (!by)
    return;
  event.preventDefault();
  const { grid } = view;
  const row = view.cursor?.row ?? 0, column = view.cursor ? columnOf(grid, view.cursor.at) : grid.columns.length - 1;
  const clamp = (value, most) => Math.min(most, Math.max(0, value));
  const to = view.cursor ? clamp(column + by[1], grid.columns.length - 1) : column;
  select(view, { row: clamp(view.cursor ? row + by[0] : row, grid.list.length - 1), at: grid.columns[to] });
}

/* ---- in words ---- */

function updateTable({ grid, table }) {
  const rows = grid.list.map((component, row) => {
    const known = grid.cells[row].filter((cell) => cell.known);
    const worst = known.reduce((a, b) => b.level >= a.level ? b : a, { level: -1, values: null });
    return { component, now: known.at(-1), worst };
  });
  reconcile(table, rows, ({ component }) => component.id,
    ({ component }) => el('tr', { role: 'row', 'data-component': component.id },
      el('th', { role: 'rowheader', scope: 'row' }, component.label),
      ...COLUMNS.map((label) => el('td', { role: 'cell', 'data-label': label }))),
    (node, { now, worst }) => {
      const texts = [now ? levelWords(now) + cellWords(now) : 'no data', worst.at ? levelWords(worst) + cellWords(worst) : 'no data',
        worst.at && worst.level > 0 ? clock(worst.at * 1000) : '–'];
      texts.forEach((text, i) => setText(node.children[i + 1], text));
      setAttribute(node.children[1], 'data-tone', levelTone(now));
      setAttribute(node.children[2], 'data-tone', levelTone(worst));
    });
}

function levelTone(cell) {
  return !cell || cell.level <= 0 ? null : cell.level === CRITICAL ? 'bad' : 'warn';
}
