// The filter box: each word has to be in a clause's id, sentence, source or verdict.
const box = document.querySelector("#filter");
const shown = document.querySelector("#shown");
const clauses = [...document.querySelectorAll("[data-clause]")];
const texts = clauses.map((each) => each.textContent.toLowerCase());

function filter() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  clauses.forEach((each, i) => {
    each.hidden = !words.every((word) => texts[i].includes(word));
    if (each.matches("li:not([hidden])")) count += 1;
  });
  document.querySelectorAll("[data-group]").forEach((group) => {
    group.hidden = !group.querySelector("[data-clause]:not([hidden])");
  });
  shown.textContent = words.length ? `${count} clauses` : "";
}

function open_target() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

box.addEventListener("input", filter);
window.addEventListener("hashchange", open_target);
filter();
open_target();
