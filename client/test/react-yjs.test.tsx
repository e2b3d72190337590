// @vitest-environment happy-dom
import { act, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RoomlogProvider, RoomProvider } from '../src/react/index.js';
import * as suspense from '../src/react/suspense.js';
import { type UseDoc, useDoc, useSuspenseDoc } from '../src/react/yjs.js';
import { createTestClock, createTestServer, type TestClock, type TestServer } from '../src/testing/index.js';
import { TestDocs } from './fake/docs.js';

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
await Promise.all([import('../src/client/refresh.js'), import('../src/client/sides/part.js')]);

let clock: TestClock;
let server: TestServer;
let client: ReturnType<TestServer['client']>;
beforeEach(() => {
  clock = createTestClock();
  server = createTestServer();
  const { fetch } = new TestDocs(server);
  client = server.client({ fetch });
});
afterEach(async () => {
  await server.close();
  clock.restore();
});

const pass = (ms: number) => act(() => clock.advance(ms));
let used: UseDoc[] = [];

function Pad() {
  const doc = useDoc();
  used.push(doc);
  return <b>{doc.status}</b>;
}

function LoadedPad() {
  const doc = useSuspenseDoc();
  used.push(doc);
  return <i>{doc.ydoc.getText('t').toString()}</i>;
}

it('useDoc: one document for all who show it, open while one of them is mounted; a server has none', async () => {
  const app = (pads: number) => (
    <StrictMode>
      <RoomlogProvider client={client}>
        <RoomProvider id="pad:a">
          {['a', 'b', 'c'].slice(0, pads).map(each => (
            <Pad key={each} />
          ))}
        </RoomProvider>
      </RoomlogProvider>
    </StrictMode>
  );
  expect(renderToString(app(1))).toBe('<b>loading</b>');
  const place = document.createElement('div');
  const root = createRoot(place);
  await act(async () => root.render(app(2)));
  await pass(500);
  expect(place.textContent).toBe('savedsaved');
  const { doc } = used.at(-1) as UseDoc;
  expect(used.at(-2)?.doc).toBe(doc);
  await act(async () => doc?.ydoc.getText('t').insert(0, 'hi'));
  expect(place.textContent).toBe('savingsaving');
  await pass(500);
  expect([place.textContent, server.log('pad:a').length]).toEqual(['savedsaved', 1]);
  await act(async () => root.render(app(1)));
  await pass(500);
  expect(used.at(-1)?.doc).toBe(doc);
  expect(server.connections[0]?.rooms).toEqual(['pad:a']);
  await act(async () => root.unmount());
  await pass(500);
  doc?.ydoc.getText('t').insert(0, 'unheard');
  await pass(500);
  expect(server.log('pad:a')).toHaveLength(1);
  expect(server.connections[0]?.rooms).toEqual([]);
});

it('useSuspenseDoc waits until the document is there', async () => {
  used = [];
  const app = (
    <RoomlogProvider client={client}>
      <suspense.RoomProvider id="pad:a" fallback="wait">
        <LoadedPad />
      </suspense.RoomProvider>
    </RoomlogProvider>
  );
  expect(renderToString(app)).toBe('wait');
  server.network.delay(50);
  const place = document.createElement('div');
  const root = createRoot(place);
  await act(async () => root.render(app));
  expect(place.textContent).toBe('wait');
  await pass(5_000);
  expect([place.textContent, used[0]?.status]).toEqual(['', 'saved']);
  await act(async () => root.unmount());
  await pass(40_000);
  expect(server.connections[0]?.rooms).toEqual([]);
});
