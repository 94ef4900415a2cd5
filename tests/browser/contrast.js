/* SPDX-License-Identifier: MIT */
/* Run in the page: contrast (WCAG 2, relative luminance) of every visible text against what lies
   under it. Returns {texts: how many, low: [[what, ratio]]}. Text on canvases is not seen. */

function parse(text) {
  const numbers = text.match(/[\d.]+/g).map(Number);
  return text.startsWith('color(srgb') ? [numbers[0] * 255, numbers[1] * 255, numbers[2] * 255, numbers[3] ?? 1]
    : [numbers[0], numbers[1], numbers[2], numbers[3] ?? 1];
}

function over(top, under) {
  return [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
}

/* The colour behind an element: its own and its ancestors' backgrounds, as they lie on each other. */
function behind(element) {
  const layers = [];
  for (let n = element; n; n = n.parentElement)
    layers.push(parse(getComputedStyle(n).backgroundColor));
  return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
}

function luminance([r, g, b]) {
  const linear = [r, g, b].map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

function ratio(a, b) {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}

const low = [];
let texts = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, element = node.parentElement;
  if (!node.data.trim() || !element.checkVisibility() || element.closest('.unseen, [aria-hidden=true], script, title'))
    continue;
  const style = getComputedStyle(element);
  const ink = parse(element.closest('svg') ? style.fill : style.color), under = behind(element);
  const found = ratio(over(ink, under), under);
  texts++;
  if (found < 4.5)
    low.push([`${element.tagName.toLowerCase()}.${element.getAttribute('class') || ''} "${node.data.trim().slice(0, 30)}"`, Math.round(found * 100) / 100]);
}
return { texts, low };
