/* SPDX-License-Identifier: MIT */
/* The first view: how it is, why, and the numbers of every class. */
'use strict';

import { el, empty, reconcile, replaceWhen, setAttribute, setText } from './dom.js';
import { clock, duration, ms, number, percent, plural, words } from './format.js';
import { historyValue, serverNow } from './model.js';
import { problems, verdict } from './meaning.js';
import { sparkline } from './sparkline.js';

const CLASSES = ['auth', 'read', 'write', 'health', 'other', 'total'];
const COLUMNS = [
  ['requests/s', 'requests_per_s', number],
  ['errors/s', 'errors_per_s', number],
  ['refused/s', 'refused_per_s', number],
  ['p50', 'p50_ms', ms],
  ['p95', 'p95_ms', ms],
  ['p99', 'p99_ms', ms],
];
const SPARK_S = 90;

/** @param {object} model */
export function createOverview(model) {
  const at = (id) => document.getElementById(id);
  const table = classTable(at('classes'));

  return {
    update() {
      if (!model.state)
        return;
      updateHero(at('hero'), verdict(model.state, model.lostSince));
      updateFigures(at('figures'), model);
      updateProblems(at('wrong'), problems(model), serverNow(model));
      updateFaults(at('faults'), model.state.faults || [], serverNow(model));
      table(model.state.classes);
      updateSlo(at('slo'), model.slo);
    },
  };
}

/* ---- how it is ---- */

function updateHero(hero, { tone, word, sentence, detail }) {
  setAttribute(hero, 'data-tone', tone);
  replaceWhen(hero, `${word}|${sentence}|${detail}`, () => [
    el('p', { class: 'hero-word' }, el('span', { class: 'mark', 'aria-hidden': 'true' }), words(word)),
    el('p', { class: 'hero-sentence' }, sentence),
    el('p', { class: 'hero-detail' }, detail),
  ]);
}

function figuresOf({ state }) {
  const total = state.classes.total, fleet = state.fleet;
  const share = total.requests_per_s > 0 ? total.errors_per_s / total.requests_per_s : 0;
  return [
    { name: 'Requests', value: `${number(total.requests_per_s)} /s`, series: 'requests_per_s' },
    { name: 'Errors', value: percent(share), tone: share >= 0.05 ? 'bad' : share > 0.01 ? 'warn' : null,
      series: 'errors_per_s' },
    { name: 'Refused', value: `${number(total.refused_per_s)} /s`, series: 'refused_per_s' },
    { name: 'p95', value: ms(total.p95_ms), tone: total.p95_ms > 2000 ? 'bad' : total.p95_ms > 200 ? 'warn' : null,
      series: 'p95_ms' },
    { name: 'Workers ready', value: `${fleet.ready} of ${fleet.configured}`,
      tone: fleet.ready === 0 ? 'bad' : fleet.ready < fleet.configured ? 'warn' : null, series: 'workers_ready' },
    { name: 'Database', value: words(state.db.state), tone: databaseTone(state.db), series: 'db_up' },
  ];
}

function databaseTone(db) {
  return db.readable && db.writable ? (db.state === 'up' ? null : 'warn') : 'bad';
}

function updateFigures(list, model) {
  const end = model.history.last;
  reconcile(list, figuresOf(model), (figure) => figure.name,
    (figure) => el('div', { class: 'card figure' }, el('dt', null, figure.name), el('dd'), sparkline()),
    (node, figure) => {
      setAttribute(node, 'data-tone', figure.tone);
      setText(node.children[1], figure.value);
      const values = [];
      for (let t = end - SPARK_S; end && t <= end; t++)
        values.push(historyValue(model, figure.series, t));
      node.children[2].show(values);
    });
}

/* ---- what is wrong ---- */

function updateProblems(box, found, nowMs) {
  if (found.length === 0) {
    replaceWhen(box, 'none', () => [el('p', { class: 'calm' },
      el('span', { class: 'mark', 'data-tone': 'good', 'aria-hidden': 'true' }), 'Nothing is wrong.')]);
    return;
  }
  replaceWhen(box, 'some', () => [el('ul', { class: 'problems' })]);
  reconcile(box.firstElementChild, found, (problem) => problem.id, createProblem, (node, problem) => {
    setAttribute(node, 'data-tone', problem.tone);
    const [text, since, detail] = node.querySelectorAll('.text, .since, .detail');
    setText(text, problem.text);
    setText(detail, problem.detail || '');
    setText(since, Number.isNaN(problem.sinceMs) ? '' : `for ${duration((nowMs - problem.sinceMs) / 1000)}`);
  });
}

function createProblem(problem) {
  return el('li', null, el('span', { class: 'mark', 'aria-hidden': 'true' }),
    el('div', null,
      el('a', { class: 'text', href: `#${problem.view}` }), ' ',
      el('span', { class: 'since' }),
      el('p', { class: 'detail' })));
}

function updateFaults(box, faults, nowMs) {
  if (faults.length === 0) {
    replaceWhen(box, 'none', () => [el('p', { class: 'calm' }, 'None is set.')]);
    return;
  }
  replaceWhen(box, 'some', () => [el('ul', { class: 'problems' })]);
  reconcile(box.firstElementChild, faults, (fault) => fault.id, createFault, (node, fault) => {
    const since = Date.parse(fault.since);
    setText(node.querySelector('.since'), fault.state === 'scheduled' ?
      `begins in ${duration((since - nowMs) / 1000)}` :
      `since ${clock(since)}, ends in ${duration(fault.ends_in_ms / 1000)}`);
  });
}

function createFault(fault) {
  return el('li', { 'data-tone': 'fault' }, el('span', { class: 'mark', 'aria-hidden': 'true' }),
    el('div', null,
      el('span', { class: 'text' }, `${words(fault.kind)} on ${fault.target}`), ' ',
      el('span', { class: 'since' }),
      el('p', { class: 'detail code' }, fault.text)));
}

/* ---- the classes ---- */

/* On a narrow screen the style lays each row out as a block; the roles keep it a table. */
function classTable(box) {
  const cells = new Map();
  const row = (name) => {
    const nodes = COLUMNS.map(([label]) => el('td', { role: 'cell', 'data-label': label }, '–'));
    cells.set(name, nodes);
    return el('tr', { role: 'row', class: name === 'total' ? 'sum' : null },
      el('th', { role: 'rowheader', scope: 'row' }, name), ...nodes);
  };
  const heads = COLUMNS.map(([label]) => el('th', { role: 'columnheader', scope: 'col' }, label));
  box.append(el('table', { role: 'table', class: 'stack three' },
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' },
      el('th', { role: 'columnheader', scope: 'col' }, 'class'), ...heads)),
    el('tbody', { role: 'rowgroup' }, ...CLASSES.map(row))));

  return (classes) => {
    for (const [name, nodes] of cells)
      COLUMNS.forEach(([, key, format], i) => {
        const value = classes[name]?.[key];
        const idle = !(classes[name]?.requests_per_s > 0);
        setText(nodes[i], idle && format === ms ? '–' : format(value));
        setAttribute(nodes[i], 'data-tone', key === 'errors_per_s' && value > 0 ? 'bad' :
          key === 'refused_per_s' && value > 0 ? 'warn' : null);
      });
  };
}

/* ---- objectives ---- */

function updateSlo(box, slo) {
  if (!slo?.slos?.length) {
    replaceWhen(box, 'none', () => [empty('No data yet: the console keeps no count of objectives.')]);
    return;
  }
  replaceWhen(box, slo.slos.map((objective) => objective.name).join(),
    () => [el('div', { class: 'slos' })]);
  reconcile(box.firstElementChild, slo.slos, (objective) => objective.name, createObjective, updateObjective);
}

function createObjective(objective) {
  const goal = objective.name === 'latency' ?
    `${percent(objective.objective)} answered within ${ms(objective.threshold_ms)}` :
    `${percent(objective.objective)} served without error or loss`;
  return el('article', { class: 'slo' },
    el('h3', null, words(objective.name)), el('p', { class: 'note' }, goal),
    el('div', { class: 'meter', role: 'meter', 'aria-label': `budget left of ${objective.name}`,
      'aria-valuemin': 0, 'aria-valuemax': 100 }, el('span')),
    el('p', { class: 'budget' }),
    el('table', null,
      el('thead', null, el('tr', null, ...['windows', 'burns now', 'limit', 'alert'].map(
        (label) => el('th', { scope: 'col' }, label)))),
      el('tbody')));
}

function budgetWords(left) {
  return left < 0 ? `The budget is spent ${number(1 - left)} times over` : `${percent(left)} of the budget left`;
}

function updateObjective(node, objective) {
  const left = Math.max(0, Math.min(1, objective.budget_left ?? 1));
  const meter = node.querySelector('.meter');
  setAttribute(meter, 'aria-valuenow', Math.round(left * 100));
  setAttribute(meter, 'data-tone', left < 0.1 ? 'bad' : left < 0.5 ? 'warn' : 'good');
  meter.firstElementChild.style.width = `${left * 100}%`;
  setText(node.querySelector('.budget'), `${budgetWords(objective.budget_left)}; ` +
    `${number(objective.good)} of ${plural(objective.total, 'request')} good`);
  reconcile(node.querySelector('tbody'), objective.alerts, (alert) => alert.burn,
    () => el('tr', null, el('td'), el('td'), el('td'), el('td')),
    (row, alert) => {
      const burns = Math.min(alert.long_burn, alert.short_burn);
      const texts = [`${duration(alert.long_s)}, ${duration(alert.short_s)}`,
        `${number(burns)} ×`, `${alert.burn} ×`, alert.firing ? 'firing' : 'quiet'];
      texts.forEach((text, i) => setText(row.children[i], text));
      setAttribute(row, 'data-tone', alert.firing ? 'bad' : null);
    });
}
