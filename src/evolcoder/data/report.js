"use strict";
for (const bar of document.querySelectorAll(".filters")) {
  const records = [...document.querySelectorAll("article")].filter((one) => one.dataset.in === bar.dataset.for);
  const show = () => {
    const wanted = [...bar.querySelectorAll("[data-fact]")].map((one) => [one.dataset.fact, one.value]);
    const words = bar.querySelector("[data-search]").value.toLowerCase();
    let shown = 0;
    for (const record of records) {
      const fits = wanted.every(([name, value]) => !value || fact(record, name).split(", ").includes(value))
        && record.textContent.toLowerCase().includes(words);
      record.hidden = !fits;
      shown += fits;
    }
    bar.querySelector("output").textContent = shown + " of " + records.length + " shown";
  };
  const order = () => {
    const by = bar.querySelector("[data-sort-by]").value;
    const listed = by ? [...records].sort((a, b) => fact(a, by).localeCompare(fact(b, by), undefined, { numeric: true })) : records;
    let last = bar;
    for (const record of listed) { last.after(record); last = record; }
  };
  bar.addEventListener("input", show);
  bar.querySelector("[data-sort-by]").addEventListener("input", order);
  show();
}
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), at = head.cellIndex, body = head.closest("table").tBodies[0];
    const up = head.getAttribute("aria-sort") !== "ascending";
    const key = (row) => row.cells[at].dataset.sort;
    const compare = (a, b) => (key(a) !== undefined && key(b) !== undefined)
      ? Number(key(a)) - Number(key(b))
      : row_text(a, at).localeCompare(row_text(b, at));
    const rows = [...body.rows].sort((a, b) => (up ? 1 : -1) * compare(a, b));
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...rows);
  });
}
function fact(record, name) { return record.getAttribute("data-" + name) || ""; }
function row_text(row, at) { return row.cells[at].textContent; }
