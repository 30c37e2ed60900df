// Rows of tables that stand for a trial or configuration: they have a ``data-uid``.
function linkTables() {
  const tables = new Map();  // table -> its [element, place, row]
  for (const element of document.querySelectorAll("tr[data-uid], tbody[data-uid]")) {
    const table = element.closest("table"), row = element.matches("tr") ? element : element.rows[0];
    if (!tables.has(table)) tables.set(table, []);
    tables.get(table).push([element, study.placeOf.get(element.dataset.uid) ?? -1, row]);
  }
  for (const [table, rows] of tables) views.set(table, () => {
    rows.forEach(showRow);
    requestAnimationFrame(() => setTimeout(() => rows.forEach(hideRow)));  // a long table takes a while to lay out again
  });
}

function showRow([element, place, row]) {
  const isChosen = chosen.has(place);
  if (element.classList.contains("selected") === isChosen) return;
  element.classList.toggle("selected", isChosen);
  row.setAttribute("aria-selected", String(isChosen));
}

function hideRow([element, place]) {
  const isHidden = kept[place] === false;
  if (element.hidden !== isHidden) element.hidden = isHidden;
}

document.addEventListener("click", (event) => {
  if (!study) return;
  const link = event.target.closest('a[href^="#trial="]');
  const row = event.target.closest("[data-uid]"), isText = String(getSelection()).length > 0;
  if (!link && (!row || isText || event.target.closest("a, button, summary, input, select, label, pre"))) return;
  const uid = link ? decodeURIComponent(link.hash.slice("#trial=".length)) : row.dataset.uid;
  if (!study.placeOf.has(uid)) return;
  event.preventDefault();
  pick([study.placeOf.get(uid)], isAdding(event));
});
document.addEventListener("mousedown", (event) => {  // no text is marked on the way from one row to another
  if (study && isAdding(event) && event.target.closest("[data-uid]")) event.preventDefault();
});
