import { useState } from 'react';
import { chooseTheme, chosenTheme, type Theme } from './theme.ts';

const themes: readonly { readonly id: Theme; readonly name: string }[] = [
  { id: 'system', name: 'System' },
  { id: 'light', name: 'Light' },
  { id: 'dark', name: 'Dark' },
];

/** The choice between the device's theme, light and dark. */
export function ThemeSwitch() {
  const [theme, setTheme] = useState(chosenTheme);
  const choose = (next: Theme) => {
    chooseTheme(next);
    setTheme(next);
  };
  return (
    <fieldset className="themes">
      <legend className="unseen">Theme</legend>
      {themes.map(({ id, name }) => (
        <label key={id} className="themes-choice">
          <input type="radio" name="theme" checked={theme === id} onChange={() => choose(id)} />
          <span>{name}</span>
        </label>
      ))}
    </fieldset>
  );
}
