// Keys on a list: "/" leads to the search box, arrows from row to row. Without this script Tab does, as everywhere.
// Whoever speaks to the machine, or presses keys unawares, can switch "/" off; the browser remembers it.
{
  const box = document.getElementById("searchbar"), keys = document.getElementById("keys");
  const rows = [...document.querySelectorAll("#result_list tbody tr")].map((row) => row.querySelector("a")).filter(Boolean);
  const typing = (element) => element.matches("input:not([type=checkbox]), textarea, select, [contenteditable]");
  keys.checked = localStorage.getItem("office.keys") !== "off";
  keys.addEventListener("change", () => localStorage.setItem("office.keys", keys.checked ? "on" : "off"));
  keys.closest("p").hidden = !box && !rows.length;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], here = rows.findIndex((link) => link.closest("tr").contains(event.target));
    if (event.key === "/" && box && keys.checked) { box.focus(); box.select(); }
    else if (step && (here >= 0 || event.target === keys)) rows[here < 0 ? (step > 0 ? 0 : rows.length - 1) : here + step]?.focus();
    else return;
    event.preventDefault();
  });
}
