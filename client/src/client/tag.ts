/**
 * Makes a tag: a UUID of version 7 (time first, then 74 random bits), so that a store finds the tags of one
 * time near each other. Needs `crypto.getRandomValues`, which browsers give to insecure pages too.
 */
export function newTag(): string {
  const [variant = 0, ...bytes] = crypto.getRandomValues(new Uint8Array(10));
  const rest = bytes.map(b => b.toString(16).padStart(2, '0')).join('');
  const time = Date.now().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${rest.slice(0, 3)}-${'89ab'[variant & 3]}${rest.slice(3, 6)}-${rest.slice(6)}`;
}
