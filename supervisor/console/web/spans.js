/* SPDX-License-Identifier: MIT */
/* How much of the past is shown: one choice for charts, heat map and timeline. */
'use strict';

import { el, setAttribute } from './dom.js';

const CHOICES = [[60, '1 min'], [120, '2 min'], [300, '5 min'], [600, '10 min']];
const PRESET_S = 120;

/** Fill every .spans of the page with the same buttons. @returns {{seconds: number}} */
export function createSpans(changed) {
  const span = { seconds: PRESET_S };
  const buttons = [];
  const show = () => {
    for (const [seconds, button] of buttons)
      setAttribute(button, 'aria-pressed', String(seconds === span.seconds));
  };
  for (const box of document.querySelectorAll('.spans')) {
    setAttribute(box, 'role', 'group');
    setAttribute(box, 'aria-label', 'Time shown');
    for (const [seconds, label] of CHOICES) {
      const button = el('button', { type: 'button', click: () => { span.seconds = seconds; show(); changed(); } }, label);
      buttons.push([seconds, button]);
      box.append(button);
    }
  }
  show();
  return span;
}
