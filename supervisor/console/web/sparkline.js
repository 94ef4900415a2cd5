/* SPDX-License-Identifier: MIT */
/* A line of the last moments without axes: decoration beside a number that says the same. */
'use strict';

import { setAttribute, svg } from './dom.js';

const WIDTH = 120, HEIGHT = 28;

/** An SVG with show(values); null is a gap. The scale begins at 0. */
export function sparkline() {
  const path = svg('path', { fill: 'none', 'vector-effect': 'non-scaling-stroke' });
  const node = svg('svg', { class: 'spark', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none',
    'aria-hidden': 'true' }, path);
  node.show = (values) => setAttribute(path, 'd', line(values));
  return node;
}

function line(values) {
  const most = Math.max(...values.filter((value) => value !== null), 1e-9);
  let text = '', pen = 'M';
  values.forEach((value, i) => {
    if (value === null) {
      pen = 'M';
      return;
    }
    const x = (i / Math.max(1, values.length - 1)) * WIDTH;
    text += `${pen}${x.toFixed(1)} ${(HEIGHT - 2 - (value / most) * (HEIGHT - 4)).toFixed(1)}`;
    pen = 'L';
  });
  return text;
}
