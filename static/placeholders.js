// Offers the placeholders of a letter as buttons under its fields: without this script their help names them.
for (const field of document.querySelectorAll("[data-placeholders]")) {
  const group = document.createElement("div");
  group.className = "placeholders";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", field.dataset.label);
  for (const name of field.dataset.placeholders.split(" ")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `{${name}}`;
    button.addEventListener("click", () => {
      field.setRangeText(button.textContent, field.selectionStart, field.selectionEnd, "end");
      field.dispatchEvent(new Event("input", { bubbles: true })); // as a key would: a preview listens
      field.focus();
    });
    group.append(button);
  }
  field.after(group);
}
