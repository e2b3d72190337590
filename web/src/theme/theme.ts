/** A choice of theme; `system` follows the device. */
export type Theme = 'system' | 'light' | 'dark';

const key = 'roomlog.theme'; // read before the first paint by first.js

/** The theme that was chosen before, or `system`. */
export function chosenTheme(): Theme {
  const chosen = document.documentElement.dataset.theme;
  return chosen === 'light' || chosen === 'dark' ? chosen : 'system';
}

/** Shows a theme and remembers it, where storage is allowed. */
export function chooseTheme(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === 'system') localStorage.removeItem(key);
    else localStorage.setItem(key, theme);
  } catch {
    // Storage is forbidden: the choice holds until the page is left.
  }
}
