const guests = [
  ...[
    'Mira',
    'Jonas',
    'Nora',
    'Tomas',
    'Aiko',
    'Priya',
    'Leon',
    'Zofia',
    'Idris',
    'Carmen',
    'Henrik',
    'Yara',
  ],
  ...[
    'Emil',
    'Sanna',
    'Marco',
    'Lucia',
    'Dario',
    'Freya',
    'Anton',
    'Noor',
    'Viktor',
    'Paula',
    'Kofi',
    'Ines',
  ],
];

const key = 'roomlog.cursors';

/** Who this tab is: the same after a reload, another one in each new window; `?as=Nora` in the address says another. */
export function guestName(): string {
  const asked = new URLSearchParams(location.search).get('as')?.trim();
  if (asked && asked.length <= 64) return asked;
  try {
    const name = sessionStorage.getItem(key) ?? nextName();
    sessionStorage.setItem(key, name);
    return name;
  } catch {
    return nameAt(randomPlace()); // storage is forbidden: until the page is left
  }
}

/** The windows of one browser take one name after the other, so that no two are the same person. */
function nextName(): string {
  const last = Number(localStorage.getItem(key) ?? Number.NaN);
  const place = Number.isSafeInteger(last) ? last + 1 : randomPlace();
  localStorage.setItem(key, String(place));
  return nameAt(place);
}

const randomPlace = () => Math.floor(Math.random() * guests.length);
const nameAt = (place: number) => guests[Math.abs(place) % guests.length] ?? 'Guest';

/** How many colours there are (hues.css). */
const hues = 8;

/** The colour of a person, the same on every screen. */
export function hueOf(user: string): number {
  let hash = 0x811c9dc5;
  for (const letter of user) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) & (hues - 1);
}

/** Two letters for a person, or a letter and the number that their name ends in. */
export function initialsOf(user: string): string {
  const words = user.split(/[^\p{L}\p{N}]+/u).filter(word => word !== '');
  const [first, last] = [words[0], words.at(-1)];
  if (!first || !last || words.length < 2) return [...user].slice(0, 2).join('');
  const ending = /^\d{1,2}$/.test(last) ? last : [...last][0];
  return `${[...first][0]}${ending}`.toUpperCase();
}

/** Says who came and who left since the last time; empty where nobody did. */
export function comingWords(came: readonly string[], left: readonly string[]): string {
  const sentence = (who: readonly string[], one: string, many: string) => {
    if (who.length === 0) return '';
    if (who.length > 3) return `${who.length} people ${many}.`;
    const names = who.length === 1 ? who[0] : `${who.slice(0, -1).join(', ')} and ${who.at(-1)}`;
    return `${names} ${who.length === 1 ? one : many}.`;
  };
  return [sentence(came, 'is here', 'are here'), sentence(left, 'has left', 'have left')]
    .filter(text => text !== '')
    .join(' ');
}
