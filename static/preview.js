// Shows the letter under the form while it is typed; without this script the button alone opens it, in a tab of its own.
const PAUSE = 400; // milliseconds without a key
const button = document.querySelector("button[data-live]"), live = document.getElementById(button?.dataset.live);
let waiting, asked = 0, said = [];

async function ask() {
  const number = ++asked, form = new FormData(button.form);
  let letters;
  try {
    const answer = await fetch(button.formAction, { method: "POST", body: form });
    letters = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("letters");
  } catch {
    // No answer: what is shown below is told to be old.
  }
  if (number !== asked) return; // a later question is on its way
  live.previousElementSibling.hidden = Boolean(letters);
  if (letters) show([...letters.children]);
}

// Replaces what has changed alone: the other language's frame stays where it was scrolled to.
function show(sections) {
  const fresh = sections.map((section) => section.outerHTML);
  sections.forEach((section, n) => {
    const old = live.children[n];
    if (!old) live.append(section);
    else if (fresh[n] !== said[n]) {
      const opened = section.querySelector("details") && old.querySelector("details[open]");
      if (opened) section.querySelector("details").open = true;
      old.replaceWith(section);
    }
  });
  while (live.children.length > sections.length) live.lastElementChild.remove();
  said = fresh;
}

if (live) {
  button.form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, PAUSE);
  });
  ask();
}
