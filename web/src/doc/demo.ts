import * as Y from 'yjs';

const text = `# Summer party

Everybody writes here at once. Open this page in **two windows**, put both carets into this paragraph, and type.

## To settle
- The hall: the *small* one, or the garden if it stays dry
- Food: ask three caterers, and who eats no meat
- Music: quiet until ten

> Pull the plug in one window and go on writing in both. What was written is merged when it is back: nobody is overwritten, and nothing is there twice.

Headings begin with \`#\`, lists with \`-\`, quotes with \`>\`.
`;

/** The name of the text in the document. */
export const textName = 'text';

/**
 * The demo as an update of Yjs. It is the same bytes on every device, by an author that nobody else is: however many put it into
 * an empty document at once, it is there once. Another text is by another author, or it would be taken for this one.
 */
export function demoUpdate(): Uint8Array {
  const doc = new Y.Doc();
  let hash = 0x811c9dc5;
  for (const letter of text) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193);
  doc.clientID = hash >>> 0;
  doc.getText(textName).insert(0, text);
  const update = Y.encodeStateAsUpdate(doc);
  doc.destroy();
  return update;
}
