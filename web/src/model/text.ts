/** The text of a message; anybody may have sent any JSON with curl, and it is shown as such. */
export function textOf(data: unknown): string {
  if (typeof data === 'object' && data !== null && 'text' in data && typeof data.text === 'string')
    return data.text;
  return JSON.stringify(data);
}
