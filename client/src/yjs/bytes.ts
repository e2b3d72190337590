/** Bytes at a time: a call takes only so many arguments. */
const STEP = 0x8000;

/** Bytes as base64 with padding (RFC 4648 §4). */
export function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += STEP) text += String.fromCharCode(...bytes.subarray(i, i + STEP));
  return btoa(text);
}

/** The bytes of it; undefined where it is none. */
export function fromBase64(text: unknown): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text as string), char => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** Bytes as base64url without padding (RFC 4648 §5). */
export const toBase64Url = (bytes: Uint8Array): string =>
  toBase64(bytes).replace(/[+/=]/g, char => ({ '+': '-', '/': '_' })[char] ?? '');
