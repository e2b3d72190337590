import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Line } from '../src/guest/line.ts';

/** Answers of a server, by "METHOD path"; each request is noted. */
let answers: Record<string, { status: number; body?: unknown }>;
let asked: string[];

/** A tunnel of the node on port 4000, which need not be where requests without a host go. */
function tunnel(id: string, port: number) {
  return { id, url: `http://127.0.0.1:${port}`, control: `http://127.0.0.1:4000/v1/dev/tunnels/${id}` };
}

beforeEach(() => {
  asked = [];
  answers = { 'POST /v1/dev/tunnels': { status: 201, body: tunnel('a', 4001) } };
  vi.stubGlobal('fetch', async (path: string, init: RequestInit = {}) => {
    const request = `${init.method ?? 'GET'} ${path}`;
    asked.push(request);
    const answer = answers[request];
    if (!answer) throw new TypeError('Failed to fetch');
    return new Response(JSON.stringify(answer.body ?? {}), { status: answer.status });
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

test('the first check opens a tunnel, later ones keep it while it is there', async () => {
  answers['GET http://127.0.0.1:4000/v1/dev/tunnels/a'] = { status: 200 };
  const line = new Line();
  await Promise.all([line.ready(), line.ready()]);
  await line.ready();
  expect(asked).toEqual(['POST /v1/dev/tunnels', 'GET http://127.0.0.1:4000/v1/dev/tunnels/a']);
  expect(line.state.get()).toMatchObject({ kind: 'tunnel', tunnel: { id: 'a' }, heldSince: null });
});

test('a tunnel that went with the server is replaced, and the new one holds nothing', async () => {
  answers['POST http://127.0.0.1:4000/v1/dev/tunnels/a'] = { status: 200 };
  const line = new Line();
  await line.ready();
  await line.hold(true);
  expect(line.state.get()).toMatchObject({ heldSince: expect.any(Number) });
  answers['GET http://127.0.0.1:4000/v1/dev/tunnels/a'] = { status: 404 };
  answers['POST /v1/dev/tunnels'] = { status: 201, body: tunnel('b', 4002) };
  await line.ready();
  expect(line.state.get()).toMatchObject({ kind: 'tunnel', tunnel: { id: 'b' }, heldSince: null });
});

test('a tunnel whose node does not answer is replaced by one of another node', async () => {
  const line = new Line();
  await line.ready();
  answers['POST /v1/dev/tunnels'] = { status: 201, body: tunnel('b', 4002) };
  await line.ready();
  expect(asked).toEqual([
    'POST /v1/dev/tunnels',
    'GET http://127.0.0.1:4000/v1/dev/tunnels/a',
    'POST /v1/dev/tunnels',
  ]);
  expect(line.state.get()).toMatchObject({ kind: 'tunnel', tunnel: { id: 'b' }, heldSince: null });
});

test('a server without tunnels is spoken to directly, and the reason is kept', async () => {
  answers['POST /v1/dev/tunnels'] = { status: 404, body: { title: 'There is no such route.' } };
  const line = new Line();
  await line.ready();
  expect(line.state.get()).toEqual({ kind: 'direct', reason: 'No tunnel: There is no such route.' });
  await line.hold(true);
  expect(asked).toEqual(['POST /v1/dev/tunnels']);
});

test('a server that cannot be reached is an error, and the next check asks again', async () => {
  const tunnels = answers['POST /v1/dev/tunnels'];
  answers = {};
  const line = new Line();
  await expect(line.ready()).rejects.toThrow(TypeError);
  expect(line.state.get()).toEqual({ kind: 'opening' });
  answers = tunnels ? { 'POST /v1/dev/tunnels': tunnels } : {};
  await line.ready();
  expect(line.state.get()).toMatchObject({ kind: 'tunnel' });
});

test('sockets take the tunnel that is there now, and keep path and query', async () => {
  const dialled: string[] = [];
  vi.stubGlobal(
    'WebSocket',
    class {
      constructor(url: string | URL) {
        dialled.push(String(url));
      }
    },
  );
  const line = new Line();
  const Socket = line.socketConstructor();
  new Socket('ws://127.0.0.1:8080/v1/ws');
  await line.ready();
  new Socket('ws://127.0.0.1:8080/v1/ws?x=1');
  expect(dialled).toEqual(['ws://127.0.0.1:8080/v1/ws', 'ws://127.0.0.1:4001/v1/ws?x=1']);
});
