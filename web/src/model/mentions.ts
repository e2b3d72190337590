/** A stretch of a text, and whom it mentions. */
export interface Part {
  readonly text: string;
  readonly user: string | null;
}

const letter = /[\p{L}\p{N}_]/u;

/** The server takes this many mentions of one message. */
const most = 50;

/**
 * Splits a text at the mentions of these users: `@` and a name, in whatever case, that ends where no letter or digit follows. Where one
 * name begins with another the longer one counts.
 */
export function splitMentions(text: string, users: readonly string[]): Part[] {
  const longestFirst = [...users].filter(Boolean).sort((a, b) => b.length - a.length);
  const parts: Part[] = [];
  let plain = 0;
  for (let at = text.indexOf('@'); at >= 0; at = text.indexOf('@', at + 1)) {
    if (at > 0 && letter.test(text[at - 1] ?? '')) continue; // an address of e-mail
    const user = longestFirst.find(name => isAt(text, at + 1, name));
    if (user === undefined) continue;
    if (at > plain) parts.push({ text: text.slice(plain, at), user: null });
    plain = at + 1 + user.length;
    parts.push({ text: text.slice(at, plain), user });
    at = plain - 1;
  }
  if (plain < text.length) parts.push({ text: text.slice(plain), user: null });
  return parts;
}

/** Who of these users a text mentions, each once. */
export function mentionsIn(text: string, users: readonly string[]): string[] {
  const mentioned = splitMentions(text, users).flatMap(({ user }) => user ?? []);
  return [...new Set(mentioned)].slice(0, most);
}

function isAt(text: string, from: number, name: string): boolean {
  const end = from + name.length;
  return text.slice(from, end).toLowerCase() === name.toLowerCase() && !letter.test(text.slice(end, end + 1));
}
