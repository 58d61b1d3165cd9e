"use strict";
// Sorting and filtering. Without this script every table stands complete, in the order of its ranks.

(() => {
  // ---- sorting: a button in each head cell; ceilings, a body of their own, stay at the foot

  const value = (cell) =>
    cell.dataset.sort === undefined ? cell.textContent.trim() : Number(cell.dataset.sort);

  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true });

  function sortBy(table, column, descending) {
    for (const body of table.tBodies) {
      const rows = [...body.rows].map((row) => [value(row.cells[column]), row]);
      rows.sort(([a], [b]) => (descending ? compare(b, a) : compare(a, b)));
      body.append(...rows.map(([, row]) => row));
    }
    for (const head of table.tHead.rows[0].cells) head.removeAttribute("aria-sort");
    const direction = descending ? "descending" : "ascending";
    table.tHead.rows[0].cells[column].setAttribute("aria-sort", direction);
  }

  function makeSortable(table) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        // numbers are most asked for from the top, texts from A
        const first = head.classList.contains("num") && !/^(Rank|JSON)/.test(head.textContent);
        sortBy(table, column, before ? before === "ascending" : first);
      });
    });
  }

  document.querySelectorAll("table.sortable").forEach(makeSortable);

  // ---- filters: tables by what their rows share, rows by the rest

  const form = document.getElementById("filters");
  if (!form) return;

  const search = document.getElementById("search");
  const selects = [...form.querySelectorAll("select")];
  const sheets = [...document.querySelectorAll(".sheet")].map((element) => ({
    element,
    facts: element.dataset,
    rows: [...element.querySelectorAll("tbody tr")].map((row) => ({
      row,
      facts: { labels: JSON.parse(row.dataset.labels), device: JSON.parse(row.dataset.device) },
      text: row.dataset.search.toLowerCase(),
    })),
  }));
  const boards = [...document.querySelectorAll(".board")];
  const rules = [...document.querySelectorAll("h3.rules")];

  function choices(name) {
    const found = new Set();
    for (const sheet of sheets) {
      if (sheet.facts[name] !== undefined) found.add(sheet.facts[name]);
      else for (const { facts } of sheet.rows) facts[name].forEach((one) => found.add(one));
    }
    return [...found].sort(compare);
  }

  for (const select of selects) {
    for (const choice of choices(select.dataset.filter)) select.add(new Option(choice, choice));
  }

  function apply() {
    const wanted = selects.filter((select) => select.value);
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    let all = 0;
    for (const sheet of sheets) {
      const fits = wanted.every(
        ({ dataset, value: choice }) =>
          sheet.facts[dataset.filter] === undefined || sheet.facts[dataset.filter] === choice,
      );
      let visible = 0;
      for (const { row, facts, text } of sheet.rows) {
        const own = wanted.every(
          ({ dataset, value: choice }) =>
            facts[dataset.filter] === undefined || facts[dataset.filter].includes(choice),
        );
        row.hidden = !(fits && own && words.every((word) => text.includes(word)));
        visible += row.hidden ? 0 : 1;
      }
      sheet.element.hidden = visible === 0;
      shown += visible;
      all += sheet.rows.length;
    }
    for (const board of boards) board.hidden = !board.querySelector(".sheet:not([hidden])");
    for (const rule of rules) {
      let next = rule.nextElementSibling;
      while (next?.classList.contains("board") && next.hidden) next = next.nextElementSibling;
      rule.hidden = !next?.classList.contains("board");
    }
    document.getElementById("shown").textContent = `${shown} of ${all} rows`;
    document.getElementById("nothing").hidden = shown > 0;
  }

  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply)); // after the fields have been cleared
  form.addEventListener("submit", (event) => event.preventDefault());
  // a link from elsewhere to a table must not end at a hidden one
  window.addEventListener("hashchange", () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target?.closest("[hidden]")) {
      form.reset();
      setTimeout(() => target.scrollIntoView());
    }
  });
  apply();
})();
