// What is selected, and what the filters leave: configurations of the study, by their place in its data.
let study = null;  // read once the page is there; stays null on a page that holds no study
const chosen = new Set();  // places, in the order of their selection
const filters = new Map();  // key of a facet -> set of texts to keep, or {low, high}
const watchers = [];  // called after every change of what is selected or filtered
const views = new Map();  // element of a chart or table -> what shows the selection in it

function readStudy() {
  const source = document.getElementById("study-data");
  if (!source) return;
  study = JSON.parse(source.textContent);
  study.placeOf = new Map(study.trials.map((trial) => [trial.uid, trial.place]));
  for (const one of study.configurations) one.trials = [];
  study.trials.forEach((trial, index) => study.configurations[trial.place].trials.push(index));
  study.facets = [
    {key: "state", name: "state", texts: study.configurations.map((one) => one.state)},
    {key: "front", name: "on the front", texts: study.configurations.map((one) => one.isOnFront ? "yes" : "no")},
    ...study.factors.map(({name, values}) => ({key: "where:" + name, name, values, texts: values.map(factorText)})),
  ].map(withChoices);
}

function withChoices(facet) {
  const places = new Map();  // text -> the first place that has it
  facet.texts.forEach((text, place) => { if (!places.has(text)) places.set(text, place); });
  const value = (text) => facet.values?.[places.get(text)];
  const isNumber = facet.values?.every((one) => one === null || typeof one === "number") ?? false;
  facet.choices = [...places.keys()].sort((a, b) => (a === "–") - (b === "–")
    || (isNumber && a !== "–" ? value(a) - value(b) : a.localeCompare(b)));
  facet.isRange = isNumber && facet.choices.length > MOST_CHOICES;
  return facet;
}

const MOST_CHOICES = 12;  // of a facet; numbers with more values have a range
const factorText = (value) => value === null || value === undefined ? "–"
  : typeof value === "string" ? value : JSON.stringify(value);

function passes(facet, place) {
  const filter = filters.get(facet.key);
  if (!facet.isRange) return filter.has(facet.texts[place]);
  const value = facet.values[place];
  return value !== null && value >= (filter.low ?? -Infinity) && value <= (filter.high ?? Infinity);
}

let kept = [];  // place -> whether the filters leave it
let lit = null;  // place -> whether it stands out: selected, if anything is, and kept; null: all are alike

function changed() {
  const active = study.facets.filter(({key}) => filters.has(key));
  kept = study.configurations.map((_, place) => active.every((facet) => passes(facet, place)));
  lit = chosen.size || active.length ? kept.map((isKept, place) => isKept && (!chosen.size || chosen.has(place))) : null;
  for (const watch of watchers) watch();
  showInViews();
}

function isOnScreen(element) {
  const {top, bottom} = element.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

let stale = [];  // views that do not show the selection yet

// At once in what can be seen; after that is painted in the rest, one by one.
function showInViews() {
  const isWaiting = stale.length > 0, seen = [...views.keys()].filter(isOnScreen);
  stale = [...views.keys()].filter((element) => !seen.includes(element));
  for (const element of seen) views.get(element)();
  const next = () => {
    const element = stale.shift();
    if (element) views.get(element)();
    if (stale.length) setTimeout(next);
  };
  if (!isWaiting && stale.length) requestAnimationFrame(() => setTimeout(next));
}

// Selects the configurations at ``places``; with ``add`` beside what is selected, or, if one is, no longer.
function choose(places, add = false) {
  const own = new Set(places);
  if (!add) chosen.clear();
  const isRepeated = add && own.size === 1 && chosen.has([...own][0]);
  for (const place of own) if (isRepeated) chosen.delete(place); else chosen.add(place);
  changed();
}

function setFilter(key, filter) {
  if (filter) filters.set(key, filter); else filters.delete(key);
  changed();
}

const isAdding = (event) => event.ctrlKey || event.shiftKey || event.metaKey;

// An element with text and other elements in it; no text of the study is ever read as HTML.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== false) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
