// A page shown inside another one has no newer version where it came from; nothing that a reader did is undone.
const reloadSeconds = Number(document.body.dataset.reload);
if (reloadSeconds && window.top === window) {
  let isUsed = false;
  for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => { isUsed = true; }, {capture: true});
  setInterval(() => { if (!isUsed && !document.hidden) location.reload(); }, 1000 * reloadSeconds);
}
