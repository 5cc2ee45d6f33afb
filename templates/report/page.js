// Sorting of tables; the page is complete without it.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const value = (row, column) => {
    const cell = row.cells[column];
    const raw = cell.dataset.sort ?? cell.textContent.trim();
    const number = Number(raw.replace("−", "-").replace(/\s/g, ""));
    return raw === "" || Number.isNaN(number) ? raw : number;
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => {
        const x = value(a, column), y = value(b, column);
        return sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y)));
      });
      body.append(...rows);
    });
  });
}

// One of several figures at a time; without it they stand one below the other.
for (const group of document.querySelectorAll(".choices")) {
  const choices = [...group.children];
  if (choices.length < 2) continue;
  const label = document.createElement("label");
  const select = document.createElement("select");
  for (const choice of choices) select.append(new Option(choice.dataset.label));
  label.className = "choose";
  label.append(`${group.dataset.choose}: `, select);
  group.before(label);
  const show = () => choices.forEach((choice, i) => choice.classList.toggle("away", i !== select.selectedIndex));
  select.addEventListener("change", show);
  // A link to a figure that is away brings it back.
  const follow = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const index = choices.findIndex((choice) => choice.contains(target || null));
    if (index >= 0) { select.selectedIndex = index; show(); target.scrollIntoView(); }
  };
  addEventListener("hashchange", follow);
  show();
  follow();
}
