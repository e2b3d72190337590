/** One event of a stream, or a comment (a sign of life). */
export type StreamEvent = { event: string; data: string } | { comment: true } | { retryMs: number };

/**
 * Reads `text/event-stream` (WHATWG HTML, 9.2.6) piece by piece. Ids are not kept: a page has its position.
 * `take` is given each text as it comes, cut anywhere, and says what was completed by it.
 */
export function streamParser(): (text: string) => StreamEvent[] {
  let rest = '';
  let event = '';
  let data: string[] = [];
  const line = (text: string, out: StreamEvent[]) => {
    if (text === '') {
      if (data.length > 0) out.push({ event: event || 'message', data: data.join('\n') });
      event = '';
      data = [];
      return;
    }
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(text) ?? [];
    if (name === '') out.push({ comment: true });
    else if (name === 'event') event = value;
    else if (name === 'data') data.push(value);
    else if (name === 'retry' && /^\d+$/.test(value)) out.push({ retryMs: Number(value) });
  };
  return text => {
    const out: StreamEvent[] = [];
    rest += text;
    // A CR at the very end may be half of a CRLF.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() as string;
    for (const each of lines) line(each, out);
    return out;
  };
}
