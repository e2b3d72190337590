// @vitest-environment happy-dom
import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { RoomlogProvider, RoomProvider, useConnection, useMessages } from 'roomlog/react';
import { createTestClock, createTestServer } from 'roomlog/testing';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

function Chat() {
  const { messages, send } = useMessages();
  const { state } = useConnection();
  return (
    <>
      <p role="status">{state}</p>
      <ol>
        {messages.map(m => (
          <li key={m.tag}>{`${m.author}: ${m.data.text} (${m.delivery})`}</li>
        ))}
      </ol>
      <button type="button" onClick={() => send({ text: 'on my way' })}>
        Say it
      </button>
    </>
  );
}

const clock = createTestClock(); // time stands still but for clock.advance
beforeEach(() => vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true));
afterEach(() => clock.restore());

test('what is written without a network arrives once it is back', async () => {
  const server = createTestServer();
  server.append('chat:lobby', { author: 'ben', data: { text: 'where are you?' } });
  const host = document.body.appendChild(document.createElement('div'));
  const root = createRoot(host);
  const pass = (ms: number) => act(() => clock.advance(ms));
  const rows = () => [...host.querySelectorAll('li')].map(row => row.textContent);

  await act(async () =>
    root.render(
      <RoomlogProvider client={server.client({ user: 'ann' })}>
        <RoomProvider id="chat:lobby">
          <Chat />
        </RoomProvider>
      </RoomlogProvider>,
    ),
  );
  await pass(0);
  expect(rows()).toEqual(['ben: where are you? (sent)']);

  server.network.offline();
  await act(async () => host.querySelector('button')?.click());
  expect(rows()).toEqual(['ben: where are you? (sent)', 'ann: on my way (queued)']);
  await pass(60_000);
  expect(host.querySelector('[role=status]')?.textContent).toBe('offline');

  server.network.restore();
  await pass(1_000);
  expect(rows()).toEqual(['ben: where are you? (sent)', 'ann: on my way (sent)']);
  expect(server.log('chat:lobby').map(event => event.data)).toEqual([
    { text: 'where are you?' },
    { text: 'on my way' },
  ]);

  await act(async () => root.unmount());
  await server.close();
});
