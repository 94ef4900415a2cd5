/* SPDX-License-Identifier: MIT */
/* Numbers and times as people read them. Pure functions; null and NaN become a dash. */
'use strict';

const NOTHING = '–';
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

/** A count or a rate: 0, 0.4, 12, 1,234. */
export function number(value) {
  if (!isNumber(value))
    return NOTHING;
  if (value !== 0 && Math.abs(value) < 10 && !Number.isInteger(value))
    return value.toFixed(1);
  return whole.format(value);
}

/** A duration in milliseconds: 0.4 ms, 12 ms, 1.2 s. */
export function ms(value) {
  if (!isNumber(value))
    return NOTHING;
  return value >= 1000 ? `${(value / 1000).toFixed(value < 10000 ? 1 : 0)} s` : `${number(value)} ms`;
}

/** Bytes in binary units. */
export function bytes(value) {
  if (!isNumber(value))
    return NOTHING;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; Math.abs(value) >= 1024 && i < units.length - 1; i++)
    value /= 1024;
  return `${number(value)} ${units[i]}`;
}

/** A share (0..1) in per cent. */
export function percent(share) {
  if (!isNumber(share))
    return NOTHING;
  const value = share * 100;
  return `${value !== 0 && Math.abs(value) < 10 ? value.toFixed(value < 0.1 && value > 0 ? 2 : 1) : whole.format(value)} %`;
}

/** Seconds, in at most two units: 12 s, 3 min 4 s, 2 d 5 h. */
export function duration(seconds) {
  if (!isNumber(seconds))
    return NOTHING;
  const s = Math.max(0, Math.round(seconds));
  const two = (big, bigUnit, small, unit) => small ? `${big} ${bigUnit} ${small} ${unit}` : `${big} ${bigUnit}`;
  if (s < 60)
    return `${s} s`;
  if (s < 3600)
    return two(Math.floor(s / 60), 'min', s % 60, 's');
  if (s < 86400)
    return two(Math.floor(s / 3600), 'h', Math.floor(s % 3600 / 60), 'min');
  return two(Math.floor(s / 86400), 'd', Math.floor(s % 86400 / 3600), 'h');
}

const pad = (value, size = 2) => String(value).padStart(size, '0');

/** A moment (ms since 1970) as local time of day. */
export function clock(momentMs, withMs = false) {
  const d = new Date(momentMs);
  const text = `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
  return withMs ? `${text}.${pad(d.getMilliseconds(), 3)}` : text;
}

/** worker_died: worker died. */
export function words(name) {
  return String(name).replaceAll('_', ' ');
}

/** "3 workers", "1 worker". */
export function plural(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? '' : 's'}`;
}
