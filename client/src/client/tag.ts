/**
 * Makes a tag: a UUID of version 7 (time first, then 74 random bits), so that a store finds the tags of one
 * time near each other. Needs `crypto.getRandomValues`, which browsers give to insecure pages too.
 */
export function newTag(): string {
  const [variant = 0, ...bytes] = crypto.getRandomValues(new Uint8Array(10));
  const hex = [Date.now() + 2 ** 48, ...bytes.map(b => b + 256)].map(n => n.toString(16).slice(1)).join('');
  return hex.replace(/(.{8})(.{4})(...)(...)(.*)/, `$1-$2-7$3-${'89ab'[variant & 3]}$4-$5`);
}
