/* SPDX-License-Identifier: MIT */
/*
 * Asks the console once a second. One round at a time: the next one starts when the last one ended.
 * A console that does not answer is asked ever more rarely, and again as before when it does.
 */
'use strict';

const PERIOD_MS = 1000;
const TIMEOUT_MS = 4000;
const BACKOFF_MAX_MS = 10000;

/** GET and parse JSON; null when the console has no such thing (404). Throws when it fails, with
 *  the status in the error when there was an answer. */
export async function getJson(path) {
  const answer = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (answer.status === 404)
    return null;
  if (!answer.ok)
    throw Object.assign(new Error(`${path.split('?')[0]} answers ${answer.status}`), { status: answer.status });
  return { body: await answer.json(), date: Date.parse(answer.headers.get('Date')) };
}

/**
 * Ask again and again, and show what was found. Only asking says whether the console answers: what
 * goes wrong in showing is a fault of the page, and told as the browser tells faults.
 * @param {function(): Promise} ask one round of questions
 * @param {function()} show draws the answers
 * @param {function({ok: boolean, since: ?number, nextAt: ?number, why: ?string})} report
 * @returns {{now: function()}} now() cuts a back-off short
 */
export function startPolling(ask, show, report) {
  let failures = 0, since = null, timer = null, running = false;

  async function run() {
    if (running)
      return;
    running = true;
    clearTimeout(timer);
    const started = performance.now();
    let wait = PERIOD_MS;
    try {
      await ask();
      failures = 0;
      since = null;
    } catch (error) {
      failures++;
      since ??= Date.now();
      wait = Math.min(PERIOD_MS * 2 ** (failures - 1), BACKOFF_MAX_MS);
      report({ ok: false, since, nextAt: Date.now() + wait, why: reason(error) });
    }
    if (failures === 0)
      drawn(() => {
        report({ ok: true, since: null, nextAt: null, why: null });
        show();
      });
    running = false;
    timer = setTimeout(run, Math.max(50, wait - (performance.now() - started)));
  }

  run();
  return { now: run };
}

function drawn(draw) {
  try {
    draw();
  } catch (error) {
    reportError(error);
  }
}

function reason(error) {
  if (error.name === 'TimeoutError')
    return `no answer within ${TIMEOUT_MS / 1000} s`;
  return error instanceof TypeError ? 'it cannot be reached' : error.message;
}
