// Runs before the page is drawn, so that a chosen theme does not flash.
(() => {
  let theme = null;
  try {
    theme = JSON.parse(localStorage.getItem("groundup.theme"));
  } catch {
    // storage is blocked: the system's theme it is
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
