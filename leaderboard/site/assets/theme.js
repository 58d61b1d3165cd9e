"use strict";
// The theme is the system's until the visitor chooses one; the choice is kept on this machine.
// Loaded in the head without `defer`, so that a chosen theme is there before the first paint.

(() => {
  const KEY = "distillation-bench-theme";
  const page = document.documentElement;

  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be forbidden for pages opened from disk
    }
  };

  const store = (theme) => {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // the choice then lasts for this page
    }
  };

  const dark = () =>
    page.dataset.theme
      ? page.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;

  const announce = () => document.dispatchEvent(new Event("themechange"));

  const chosen = stored();
  if (chosen === "dark" || chosen === "light") page.dataset.theme = chosen;

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => {
      button.textContent = dark() ? "Light theme" : "Dark theme";
    };
    button.hidden = false;
    label();
    button.addEventListener("click", () => {
      page.dataset.theme = dark() ? "light" : "dark";
      store(page.dataset.theme);
      label();
      announce();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      label();
      announce();
    });
  });
})();
