// The selection, filters and axes in the fragment of the address, which can be sent and opened; then the start of all.
//   #trial=t0003   #trials=t0003,t0007&where=adversary:free,pgd&where=width:10..20&state=complete&x=epochs&y=accuracy
const OWN_KEYS = /^(trials?|where|state|front|x|y|color|split)=/;

const filterText = ({isRange}, filter) => isRange ? `${filter.low ?? ""}..${filter.high ?? ""}`
  : [...filter].map(encodeURIComponent).join(",");

function filterFrom(text, {isRange}) {
  if (!isRange) return new Set(text.split(",").map(decodeURIComponent));
  const [low, high] = text.split("..").map((end) => end === "" || isNaN(end) ? null : Number(end));
  return {low, high: high ?? null};
}

let firstChoices = {};  // the axes of a page that was just opened: they need not be in the address

function writeFragment() {
  const uids = [...chosen].map((place) => encodeURIComponent(study.configurations[place].uid));
  const parts = uids.length ? [`${uids.length > 1 ? "trials" : "trial"}=${uids.join(",")}`] : [];
  for (const facet of study.facets) if (filters.has(facet.key)) {
    const text = filterText(facet, filters.get(facet.key));
    parts.push(facet.key.startsWith("where:") ? `where=${encodeURIComponent(facet.name)}:${text}` : `${facet.key}=${text}`);
  }
  for (const [name, value] of Object.entries(choices))
    if (value !== firstChoices[name]) parts.push(`${name}=${encodeURIComponent(value)}`);
  const isOwn = OWN_KEYS.test(location.hash.slice(1));
  if (parts.length) history.replaceState(null, "", "#" + parts.join("&"));
  else if (isOwn) history.replaceState(null, "", location.pathname + location.search);
}

function readFragment() {
  const hash = location.hash.slice(1);
  if (!OWN_KEYS.test(hash)) return;  // the anchor of a section
  chosen.clear();
  filters.clear();
  Object.assign(choices, firstChoices);
  for (const part of hash.split("&")) {
    const [key, text] = [part.slice(0, part.indexOf("=")), part.slice(part.indexOf("=") + 1)];
    try { readPart(key, text); } catch (error) { if (!(error instanceof URIError)) throw error; }
  }
  showChoices();
  redrawExplorer();
  showFilters();
  changed();
  if (chosen.size === 1 || chosen.size === 2) showPanel();
}

function readPart(key, text) {
  const name = key === "where" ? "where:" + decodeURIComponent(text.slice(0, text.indexOf(":"))) : key;
  const facet = study.facets.find((one) => one.key === name);
  if (key === "trial" || key === "trials") {
    for (const uid of text.split(",").map(decodeURIComponent)) if (study.placeOf.has(uid)) chosen.add(study.placeOf.get(uid));
  } else if (facet) {
    filters.set(name, filterFrom(key === "where" ? text.slice(text.indexOf(":") + 1) : text, facet));
  } else if (key in choices) {
    const value = decodeURIComponent(text), options = [...document.getElementById("axes").elements[key].options];
    if (options.some((option) => option.value === value)) choices[key] = value;
  }
}

addEventListener("DOMContentLoaded", () => {
  readStudy();
  if (!study) return;
  linkTables();
  startExplorer();
  startBar();
  startPanel();
  firstChoices = {...choices};
  changed();
  document.querySelectorAll(".js-plotly-plot").forEach(linkChart);
  readFragment();
  watchers.push(writeFragment);
  addEventListener("hashchange", readFragment);
});
