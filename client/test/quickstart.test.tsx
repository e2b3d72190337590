// @vitest-environment happy-dom
import { act, type ComponentType } from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, expect, test, vi } from 'vitest';
import { FakeNetwork, tagOf } from './fake/socket.js';

// The code of the front page, which is quickstart.tsx, is a chat: it shows what is in the room and sends what
// is typed, once; its own page settles a send (ACK-4), and the row stays the same element throughout.

const network = new FakeNetwork();
vi.stubGlobal('WebSocket', network.WebSocket);
vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);

afterEach(() => vi.unstubAllGlobals());

const room = { room: 'chat:lobby', epoch: 'e' };

function stored(seq: number, text: string, tag: unknown, author: string): object {
  const at = '2026-11-23T10:00:00.123456Z';
  return { room: 'chat:lobby', seq, type: 'message', author, tag, at, data: { text } };
}

test('the nine lines are a chat', async () => {
  const { default: App } = (await import('./quickstart.js')) as { default: ComponentType };
  const host = document.body.appendChild(document.createElement('div'));
  const root = createRoot(host);
  await act(async () => root.render(<App />));
  await vi.waitUntil(() => network.sockets.length === 1, { timeout: 60_000 });
  const socket = network.last;
  expect(socket.url).toBe('ws://127.0.0.1:8080/v1/ws');

  await act(async () => void socket.welcome());
  const { id } = socket.take('join');
  const first = { prev: 0, seq: 1, position: 'e:1:00000001', events: [stored(1, 'hello', tagOf(1), 'u2')] };
  await act(async () => void socket.say({ op: 'joined', id, ...room, floor: 1, head: 1, page: first }));
  expect(host.querySelector('[role=status]')?.textContent).toBe('connected');
  expect([...host.querySelectorAll('li')].map(row => row.textContent)).toEqual(['hello']);

  const input = host.querySelector('input') as HTMLInputElement;
  input.value = 'hi there';
  const form = host.querySelector('form') as HTMLFormElement;
  await act(async () => void form.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true })));
  const row = host.querySelectorAll('li')[1];
  expect(row?.textContent).toBe('hi there');
  expect(input.value).toBe('');

  const sent = socket.take('send');
  expect(sent).toMatchObject({ n: 1, room: 'chat:lobby', type: 'message', data: { text: 'hi there' } });
  const own = { prev: 1, seq: 2, position: 'e:2:00000002', events: [stored(2, 'hi there', sent.tag, 'u1')] };
  await act(async () => void socket.say({ op: 'page', ...room, ...own }));
  expect([...host.querySelectorAll('li')].map(r => r.textContent)).toEqual(['hello', 'hi there']);
  expect(host.querySelectorAll('li')[1]).toBe(row);
  expect((row as HTMLElement).dataset.delivery).toBe('sent');
  await act(async () => root.unmount());
});
