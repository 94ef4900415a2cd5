/* SPDX-License-Identifier: MIT */
/* Brings it together: which view is shown, the round of questions, and what is said aloud. */
'use strict';

import { setAttribute, setText } from './dom.js';
import { clock, duration, words } from './format.js';
import { createHeatmap } from './heatmap.js';
import { problems, verdict } from './meaning.js';
import { createModel, refresh } from './model.js';
import { createOverview } from './overview.js';
import { startPolling } from './poll.js';
import { createSeries } from './series.js';
import { createSpans } from './spans.js';
import { createStocks } from './stocks.js';
import { createTimeline } from './timeline.js';
import { createWorkers } from './workers.js';

const at = (id) => document.getElementById(id);
const model = createModel();
const span = createSpans(() => updateViews());
const views = new Map([
  ['overview', createOverview(model)],
  ['series', createSeries(model, span)],
  ['workers', createWorkers(model)],
  ['heatmap', createHeatmap(model, span)],
  ['timeline', createTimeline(model, span)],
  ['stocks', createStocks(model)],
]);

/* ---- which view ---- */

let current = 'overview';

/* The skip link and other anchors within the page leave the view as it is. */
function shownView() {
  const name = location.hash.slice(1);
  current = views.has(name) ? name : current;
  return current;
}

function showView() {
  const shown = shownView();
  for (const name of views.keys())
    at(name).hidden = name !== shown;
  for (const link of document.querySelectorAll('.tabs a')) {
    const current = link.hash === `#${shown}`;
    setAttribute(link, 'aria-current', current ? 'page' : null);
    if (current)
      link.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }
  views.get(shown).update(true);
}

function goTo() {
  if (!views.has(location.hash.slice(1)))
    return;
  showView();
  window.scrollTo(0, 0);
  at(`${shownView()}-title`).focus({ preventScroll: true });
}

function updateViews() {
  const shown = shownView();
  for (const [name, view] of views)
    view.update(name === shown);
}

/* ---- the line at the top ---- */

function updateTop() {
  if (!model.state)
    return;
  const { tone, word } = verdict(model.state, model.lostSince);
  const count = problems(model).length;
  setAttribute(at('pill'), 'data-tone', tone);
  setText(at('pill'), words(word));
  document.title = tone === 'good' ? 'bulkhead' : `${words(word)} – bulkhead`;
  const { health, supervisor_pid: pid, data_dir: dir } = model.state;
  setText(at('footer'), `bulkhead ${health.version}, up ${duration(health.uptime_seconds)}, supervisor ${pid}, ` +
    `data in ${dir}. This page only reads; act with bulkheadctl.`);
  announce(tone, word, count);
}

let announced = null;

/* Said once for each change, never for a number that moves. */
function announce(tone, word, count) {
  const faults = (model.state.faults || []).length;
  const said = `${words(word)}. ${verdict(model.state, model.lostSince).sentence} ${count ? `${count} things wrong.` : 'Nothing is wrong.'}` +
    `${faults ? ` ${faults} faults set.` : ''}`;
  if (announced !== null && announced !== said)
    setText(at('announcer'), said);
  announced = said;
}

/* ---- does the console answer ---- */

let link = { ok: true, since: null, nextAt: null, why: null };

function updateLink() {
  const banner = at('banner');
  setAttribute(document.body, 'data-stale', link.ok ? null : 'yes');
  setText(at('link-state'), link.ok ? 'live' : 'no answer');
  setAttribute(at('link-state'), 'data-tone', link.ok ? 'good' : 'bad');
  banner.hidden = link.ok;
  if (link.ok)
    return;
  /* What counts seconds is not part of the alert: it would be read out every second. */
  setText(at('banner-text'), `The console does not answer since ${clock(link.since)}: ${link.why}. What is shown is from before.`);
  const left = link.nextAt - Date.now();
  setText(at('banner-count'), `${duration((Date.now() - link.since) / 1000)} now. Trying again ` +
    `${left > 0 ? `in ${duration(left / 1000)}` : 'now'}.`);
}

const polling = startPolling(async () => {
  await refresh(model);
  model.lostSince = null;
}, () => {
  updateTop();
  updateViews();
}, (report) => {
  link = report;
  model.lostSince = link.since;
  updateLink();
  if (!link.ok) {
    updateTop();
    views.get('overview').update(true);
  }
});

setInterval(() => { if (!link.ok) updateLink(); }, 1000);
at('banner-retry').addEventListener('click', () => polling.now());
window.addEventListener('hashchange', goTo);
showView();
