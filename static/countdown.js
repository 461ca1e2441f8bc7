// Counts down what the server has written already: without this script the time of the last load stands there.
for (const clock of document.querySelectorAll("time[data-due]")) {
  const two = (number) => String(number).padStart(2, "0");
  const tick = () => {
    const left = Math.floor(Number(clock.dataset.due) - Date.now() / 1000), rest = Math.abs(left);
    clock.textContent = `${left < 0 ? "−" : ""}${Math.floor(rest / 3600)}:${two(Math.floor(rest / 60) % 60)}:${two(rest % 60)}`;
    clock.classList.toggle("late", left < 0);
    clock.classList.toggle("pressing", left >= 0 && left < 3600);
  };
  setInterval(tick, 1000);
}
