/** What is asked where nobody asked anything else. */
export const anyQuestion = 'How does an answer stream?';

/** What the demo says. It is the same to every question, and says so. */
export const script = `This is a demo: no model is asked, and every question gets these words from a script. How they come is real, though. The message was \
stored with its first word and is stored whole with its last one; what comes between are parts, shown to everybody in this room as they are said. Reload \
this page, or cut its connection: the text goes on behind the last word that you had – nothing twice, nothing left out. 🙂`;

const command = /^\/ask(?:\s+|$)/u;

/** The question of a command such as `/ask Why?`; null where a text is none. */
export function questionIn(text: string): string | null {
  return command.test(text) ? text.replace(command, '').trim() || anyQuestion : null;
}

/** How a text becomes parts: the offsets in its bytes (UTF-8) at which its words end. */
export function wordEnds(text: string): number[] {
  const utf8 = new TextEncoder();
  let end = 0;
  return (text.match(/\s*\S+/gu) ?? []).map(word => {
    end += utf8.encode(word).length;
    return end;
  });
}
