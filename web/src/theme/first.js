// Runs before the first paint, so that a chosen theme never flashes. A file of its own since the
// policy allows nothing inline; theme.ts writes what is read here.
try {
  const chosen = localStorage.getItem('roomlog.theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be forbidden; then the system's theme it is.
}
