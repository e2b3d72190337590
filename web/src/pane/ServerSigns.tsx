import { useState } from 'react';
import type { ConnectionStatus } from 'roomlog';

/** What is said while the server does without a part of its own: nothing is lost, but not all is at once. */
export const lateWords = 'Updates may be a second late';

/** The node that somebody is connected to, where the server says one. */
export function NodeSign({ node }: Pick<ConnectionStatus, 'node'>) {
  if (node === undefined) return null;
  return (
    <span className="node-sign" title={`Connected to the node ${node}`}>
      <span className="unseen">on </span>node {node}
    </span>
  );
}

/** The words for lateness, in full or where there is no room for that in short. */
export function LateSign() {
  return (
    <span className="late-sign" title={lateWords}>
      <span className="late-full">{lateWords}</span>
      <span className="late-short">A second late</span>
    </span>
  );
}

/** Stands for what has been said: no words are like it. */
const said = '\0';

/**
 * What is read aloud: `others`, and once that updates may be late, when that begins. It gives way to whatever is next to be said.
 * @param late updates may be late
 * @param aloud whether that is said at all, as of when it begins
 */
export function useSaidOnce(late: boolean, others: string, aloud = true): string {
  const [begun, setBegun] = useState<string | null>(null);
  if (late && begun === null) setBegun(aloud ? others : said);
  else if (!late && begun !== null) setBegun(null);
  else if (late && begun !== said && begun !== others) setBegun(said);
  return late && begun === others ? `${lateWords}.` : others;
}
