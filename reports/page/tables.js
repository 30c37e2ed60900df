// Tables: sorting by a column, buttons that copy a text, and frames that the keyboard can scroll.
async function copyText(button) {
  const text = button.dataset.copy ?? button.nextElementSibling.textContent, label = button.textContent;
  try { await navigator.clipboard.writeText(text); } catch (error) {
    const area = document.createElement("textarea");
    area.value = text;
    (button.closest("dialog") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = "copied";
  setTimeout(() => { button.textContent = label; }, 1500);
}

function sortBy(button) {
  const head = button.closest("th"), table = head.closest("table"), body = table.tBodies[0];
  const column = head.cellIndex, descending = head.getAttribute("aria-sort") === "ascending";
  const key = (row) => row.cells[column].dataset.sort;
  const rows = [...body.rows], filled = rows.filter((row) => key(row) !== "");
  const numeric = filled.every((row) => Number.isFinite(Number(key(row))));
  const compare = numeric ? (a, b) => Number(key(a)) - Number(key(b))
    : (a, b) => key(a).localeCompare(key(b), undefined, {numeric: true});
  filled.sort(compare);
  if (descending) filled.reverse();
  body.append(...filled, ...rows.filter((row) => key(row) === ""));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.matches(".copy")) copyText(button);
  if (button?.matches(".sort")) sortBy(button);
});

addEventListener("DOMContentLoaded", () => {
  for (const frame of document.querySelectorAll(".scroll")) {
    if (frame.querySelector("a, button, summary")) continue;  // the focus goes in there
    frame.tabIndex = 0;
    frame.setAttribute("role", "group");
    frame.setAttribute("aria-label", frame.closest("section")?.querySelector("h2")?.textContent ?? "table");
  }
});
