// The bar at the lower edge of the window: what is selected and filtered, and the filters themselves.
function startBar() {
  const place = document.getElementById("filters");
  for (const facet of study.facets) if (facet.choices.length > 1) place.append(facet.isRange ? rangeOf(facet) : levelsOf(facet));
  place.addEventListener("change", ({target}) => filterBy(target.closest("fieldset")));
  document.getElementById("clear").addEventListener("click", () => { filters.clear(); showFilters(); choose([]); });
  document.getElementById("compare").addEventListener("click", showPanel);
  watchers.push(showBar);
}

const fieldset = (facet, ...parts) => make("fieldset", {"data-key": facet.key}, make("legend", {}, facet.name), ...parts);

function levelsOf(facet) {
  return fieldset(facet, ...facet.choices.map((text) => {
    const count = facet.texts.filter((one) => one === text).length;
    const box = make("input", {type: "checkbox", value: text, checked: ""});
    return make("label", {}, box, ` ${text} `, make("small", {}, String(count)));
  }));
}

function rangeOf(facet) {
  const known = facet.values.filter((value) => value !== null);
  const end = (name, hint) => make("label", {}, `${name} `,
    make("input", {type: "number", step: "any", name, placeholder: String(hint)}));
  return fieldset(facet, end("from", Math.min(...known)), end("to", Math.max(...known)));
}

function filterBy(group) {
  const numbers = [...group.querySelectorAll("input[type=number]")].map(({value}) => value === "" ? null : Number(value));
  if (numbers.length) {
    const [low, high] = numbers;
    return setFilter(group.dataset.key, low === null && high === null ? null : {low, high});
  }
  const boxes = [...group.querySelectorAll("input")], kept = boxes.filter((box) => box.checked);
  setFilter(group.dataset.key, kept.length === boxes.length ? null : new Set(kept.map((box) => box.value)));
}

// The form as the filters are, which an address or "clear" has set.
function showFilters() {
  for (const group of document.querySelectorAll("#filters fieldset")) {
    const filter = filters.get(group.dataset.key);
    for (const input of group.querySelectorAll("input"))
      if (input.type === "checkbox") input.checked = !filter || filter.has(input.value);
      else input.value = filter?.[input.name === "from" ? "low" : "high"] ?? "";
  }
}

const MOST_NAMED = 6;  // uids in the bar

function showBar() {
  const total = kept.length, left = kept.filter(Boolean).length;
  const uids = [...chosen].map((place) => study.configurations[place].uid), more = uids.length - MOST_NAMED;
  const names = study.facets.filter(({key}) => filters.has(key)).map(({name}) => name);
  const selected = uids.length ? `; selected: ${uids.slice(0, MOST_NAMED).join(", ")}${more > 0 ? ` and ${more} more` : ""}` : "";
  document.getElementById("chosen").textContent =
    `${left} of ${total} configurations${names.length ? `, by ${names.join(", ")}` : ""}${selected}`;
  // A bar over the page only where there is something to say: until then, the filters alone.
  document.getElementById("bar").classList.toggle("idle", !chosen.size && !filters.size);
  document.getElementById("clear").disabled = !chosen.size && !filters.size;
  const compare = document.getElementById("compare");
  compare.disabled = chosen.size < 1 || chosen.size > 2;
  compare.textContent = chosen.size === 2 ? "compare two" : "details";
}
