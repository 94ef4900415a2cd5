/* SPDX-License-Identifier: MIT */
/* Stocks and flows: how full each queue is, what comes in and goes out, and when it is full. */
'use strict';

import { el, empty, reconcile, replaceWhen, setAttribute, setText } from './dom.js';
import { duration, number, percent, words } from './format.js';
import { STOCK_NAMES, amount, flows, secondsToFull, stockTone } from './meaning.js';
import { sparkline } from './sparkline.js';

export function createStocks(model) {
  const list = document.getElementById('tanks');
  return {
    update() {
      const stocks = model.state?.stocks || [];
      if (stocks.length === 0) {
        replaceWhen(list, 'none', () => [el('li', null, empty('No data yet: this console shows no stocks.'))]);
        return;
      }
      replaceWhen(list, 'some', () => []);
      reconcile(list, stocks, (stock) => stock.name, createTank,
        (node, stock) => updateTank(node, stock, model.stocks.get(stock.name)));
    },
  };
}

function createTank(stock) {
  const name = STOCK_NAMES[stock.name] || { title: words(stock.name), text: '' };
  const flow = (key, label) => el('div', { class: `flow ${key}` }, el('dt', null, label), el('dd', { 'data-flow': key }));
  return el('li', { class: 'card tank' },
    el('h2', null, name.title),
    el('p', { class: 'note' }, name.text),
    el('div', { class: 'level' }, el('strong'), ' ', el('span')),
    el('div', { class: 'meter', role: 'meter', 'aria-label': `${name.title}, level`, 'aria-valuemin': 0 }, el('span')),
    el('dl', { class: 'flows' }, flow('in', '→ in'), flow('out', 'out →'), flow('full', 'full in')),
    sparkline());
}

function updateTank(node, stock, samples) {
  const share = stock.limit > 0 ? Math.min(1, stock.level / stock.limit) : 0;
  const rates = flows(samples), toFull = secondsToFull(stock, rates.net);
  setAttribute(node, 'data-tone', stockTone(stock));
  setText(node.querySelector('.level strong'), amount(stock, stock.level));
  setText(node.querySelector('.level span'), `of ${amount(stock, stock.limit, false)}, ${percent(share)} full` +
    (stock.waiting ? `, ${number(stock.waiting)} waiting` : ''));
  const meter = node.querySelector('.meter');
  setAttribute(meter, 'aria-valuemax', stock.limit);
  setAttribute(meter, 'aria-valuenow', Math.min(stock.level, stock.limit));
  meter.firstElementChild.style.width = `${share * 100}%`;
  const perSecond = (rate) => rate === null ? '–' : `${amount(stock, rate, false)} /s`;
  setText(node.querySelector('[data-flow=in]'), perSecond(inflow(rates)));
  setText(node.querySelector('[data-flow=out]'), perSecond(outflow(rates)));
  setText(node.querySelector('[data-flow=full]'), fullWords(toFull));
  node.lastElementChild.show((samples || []).map((sample) => sample.level));
}

function fullWords(seconds) {
  if (seconds === null)
    return 'not filling';
  return seconds > 3600 ? 'over an hour' : duration(seconds);
}

/* Where neither flow is counted, what the level gained or lost is all that is known. */
function inflow(rates) {
  return rates.in ?? (rates.net === null ? null : Math.max(0, rates.net));
}

function outflow(rates) {
  return rates.out ?? (rates.net === null ? null : Math.max(0, -rates.net));
}
