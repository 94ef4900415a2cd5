/* SPDX-License-Identifier: MIT */
/* Sets the chosen theme before anything is painted; that is why it is not part of app.js. */
'use strict';

(function () {
  const order = ['auto', 'light', 'dark'];

  function stored() {
    try {
      const value = localStorage.getItem('theme');
      return order.includes(value) ? value : 'auto';
    } catch {
      return 'auto'; // storage is forbidden: the choice lasts as long as the page
    }
  }

  function apply(value) {
    if (value === 'auto')
      delete document.documentElement.dataset.theme;
    else
      document.documentElement.dataset.theme = value;
    const button = document.getElementById('theme');
    if (button)
      button.textContent = `Theme: ${value}`;
    window.dispatchEvent(new Event('themechange'));
  }

  let current = stored();
  apply(current);
  document.addEventListener('DOMContentLoaded', () => {
    apply(current);
    document.getElementById('theme').addEventListener('click', () => {
      current = order[(order.indexOf(current) + 1) % order.length];
      try {
        localStorage.setItem('theme', current);
      } catch {
        /* as above */
      }
      apply(current);
    });
  });
}());
