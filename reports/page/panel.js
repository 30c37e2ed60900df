// The panel beside the page: everything about the one selected configuration, or two side by side.
let opener = null;  // what had the focus before the panel opened

function pick(places, add = false) {
  choose(places, add);
  if (chosen.size === 1 || document.getElementById("panel").open) setTimeout(showPanel);  // after the marks are painted
}

function startPanel() {
  const panel = document.getElementById("panel");
  panel.querySelector(".close").addEventListener("click", closePanel);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    if (panel.open) closePanel();
    else if (document.querySelector("#bar details[open]")) document.querySelector("#bar details[open]").open = false;
    else if (chosen.size) choose([]);
  });
  watchers.push(() => setTimeout(() => { if (panel.open) showPanel(); }));
}

function closePanel() {
  document.getElementById("panel").close();
  opener?.focus();
}

function showPanel() {
  const panel = document.getElementById("panel"), places = [...chosen];
  if (places.length < 1 || places.length > 2) return panel.open && closePanel();
  const key = places.join();
  if (panel.open && panel.dataset.places === key) return;
  panel.dataset.places = key;
  const configurations = places.map((place) => study.configurations[place]);
  const body = document.getElementById("panel-body");
  document.getElementById("panel-title").textContent = configurations.map(({uid}) => uid).join(" and ");
  body.replaceChildren(...(places.length === 1 ? details(places[0]) : differences(places)));
  body.scrollTop = 0;
  if (panel.open) return;
  opener = document.activeElement;
  panel.show();
  panel.querySelector(".close").focus({preventScroll: true});
}

const part = (title, ...content) => make("section", {}, make("h3", {}, title), ...content);
const folded = (title, ...content) => make("details", {}, make("summary", {}, title), ...content);
const copyButton = (label, text) => make("button", {type: "button", class: "copy", "data-copy": text}, label);
const trialsOf = (place) => study.configurations[place].trials.map((index) => ({...study.trials[index], index}));

// A table: heads of columns, then rows whose first cell names them.
function grid(heads, rows) {
  const cells = ([name, ...texts]) => make("tr", {}, make("th", {scope: "row"}, name), ...texts.map((text) =>
    make("td", {}, ...[text].flat())));
  const head = make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", {scope: "col"}, text))));
  return make("div", {class: "scroll", tabindex: "0", role: "group", "aria-label": heads.filter(Boolean).join(", ")},
    make("table", {}, head, make("tbody", {}, ...rows.map(cells))));
}

function details(place) {
  const one = study.configurations[place], trials = trialsOf(place);
  const reasons = trials.filter(({reason}) => reason).map(({uid, reason}) => make("p", {}, `${uid}: ${reason}`));
  const checks = one.checks.map((text) => make("p", {class: "doubt"}, `⚠ ${text}`));
  const measured = study.metrics.filter(({means}) => means[place] !== null);
  const rows = (metrics) => metrics.map((metric) =>
    [metric.words, [valueText(metric, metric.means[place]), " ", make("small", {}, metric.within[place])]]);
  const passed = one.checks.length === 0 && trials.some(({state}) => state === "complete");
  return [
    make("p", {}, one.recipe),
    make("p", {}, make("span", {class: `state ${one.state}`}, one.state), one.isOnFront ? ", on the front" : "",
      one.isOnFront && !one.isInside ? ", outside the region of interest" : "",
      one.probability === null ? "" : `; probability of being on the front ${one.probability.toFixed(2)}`),
    ...reasons, ...checks, passed ? make("p", {class: "caption"}, "No check failed.") : "",
    ...(measured.length ? [part("Measured", grid(["metric", "value"], rows(measured.filter((m) => m.isDescribed))),
      folded("Everything else that was recorded", grid(["measure", "value"], rows(measured.filter((m) => !m.isDescribed)))))] : []),
    ...(trials.length > 1 ? [part("Each seed", perSeed(trials))] : []),
    ...charts([place]),
    part("Config", ...configTable(trials[0])),
    ...trials.map((trial) => part(trials.length > 1 ? `Trial ${trial.uid}, seed ${trial.seed}` : "Files and command", ...filesOf(trial))),
  ].filter((element) => element !== "");
}

function perSeed(trials) {
  const metrics = study.metrics.filter((metric) => metric.isDescribed && trials.some(({index}) => metric.values[index] !== null));
  return grid(["trial", "seed", "state", ...metrics.map(({label}) => label)], trials.map(({uid, seed, state, index}) =>
    [uid, String(seed), state, ...metrics.map((metric) => valueText(metric, metric.values[index]))]));
}

function configTable(trial) {
  const rows = (config) => Object.entries(config).map(([name, value]) => [name, JSON.stringify(value)]);
  const same = Object.fromEntries(Object.entries(study.base).filter(([name]) => !(name in trial.config)));
  const all = {...study.base, ...trial.config};
  return [Object.keys(trial.config).length ? grid(["differs from the base", "value"], rows(trial.config))
    : make("p", {}, "As the base of the study."),
  folded("As the base", grid(["field", "value"], rows(same))),
  make("p", {}, copyButton("copy as YAML", yaml(all)))];
}

function filesOf({uid, files, command}) {
  const links = files.map((name) => make("li", {}, make("a",
    {href: `../trials/${encodeURIComponent(uid)}/${encodeURIComponent(name)}`}, name)));
  return [links.length ? make("ul", {class: "files"}, ...links) : make("p", {}, "No files."),
    ...(command ? [make("pre", {}, command), copyButton("copy the command", command)] : [])];
}

function differences(places) {
  const [a, b] = places.map((place) => study.configurations[place]), [first, second] = places.map((place) => trialsOf(place)[0]);
  const full = [first, second].map(({config}) => ({...study.base, ...config}));
  const names = [...new Set(full.flatMap(Object.keys))].filter((name) =>
    name !== "seed" && JSON.stringify(full[0][name]) !== JSON.stringify(full[1][name]));
  const fields = names.map((name) => [name, ...full.map((config) => name in config ? JSON.stringify(config[name]) : "–")]);
  const metrics = study.metrics.filter(({isDescribed, means}) => isDescribed && places.some((place) => means[place] !== null));
  return [
    make("ul", {}, ...[a, b].map((one) => make("li", {}, make("b", {}, one.uid), ` ${one.recipe}; ${one.state}`))),
    part("What differs", names.length ? grid(["field", a.uid, b.uid], fields) : make("p", {}, "No field of the config.")),
    part("Measured", grid(["metric", a.uid, b.uid, "change"], metrics.map((metric) => [metric.words,
      ...places.map((place) => [valueText(metric, metric.means[place]), " ", make("small", {}, metric.within[place])]),
      changeText(metric, ...places.map((place) => metric.means[place]))]))),
    ...charts(places),
  ];
}
