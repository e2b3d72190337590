// @vitest-environment happy-dom
import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, expect, it } from 'vitest';
import * as plain from '../src/react/index.js';
import * as suspense from '../src/react/suspense.js';
import { createTestServer } from '../src/testing/index.js';

await import('../src/client/state/part.js');
Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

interface Board {
  title: string;
  cards: { n: number };
}

let server = createTestServer();
afterEach(() => server.close());

let renders = 0;

function Title({ hooks }: { hooks: typeof plain | typeof suspense }) {
  renders++;
  const title = hooks.useRoomState((state: Partial<Board>) => state.title);
  return <b>{title ?? 'none'}</b>;
}

function Whole() {
  return <i>{JSON.stringify(plain.useRoomState<Board>())}</i>;
}

it.each([
  ['roomlog/react', plain],
  ['roomlog/react/suspense', suspense],
] as const)(
  '%s: what is selected of the state renders when it changes, and a server renders none',
  async (_, hooks) => {
    server = createTestServer();
    const client = server.client();
    const app = (
      <hooks.RoomlogProvider client={client}>
        <hooks.RoomProvider id="board:a">
          <Title hooks={hooks} />
          <Whole />
        </hooks.RoomProvider>
      </hooks.RoomlogProvider>
    );
    if (hooks === plain) expect(renderToString(app)).toContain('<b>none</b><i>{}</i>');
    const place = document.createElement('div');
    const root = createRoot(place);
    await act(async () => root.render(app));
    const { state, status } = client.room<unknown, unknown, Board>('board:a');
    await act(async () => {
      for await (const { loaded } of status) if (loaded) break;
    });
    await act(() => state.set({ title: 'Plan', cards: { n: 1 } }));
    expect(place.textContent).toBe('Plan{"title":"Plan","cards":{"n":1}}');
    const before = renders;
    await act(() => state.set({ cards: { n: 2 } }));
    expect(place.textContent).toBe('Plan{"title":"Plan","cards":{"n":2}}');
    expect(renders).toBe(before);
    await act(() => state.set({ title: null }));
    expect(place.textContent).toBe('none{"cards":{"n":2}}');
    await act(async () => root.unmount());
  },
);
