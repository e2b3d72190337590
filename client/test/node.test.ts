import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { type Client, createClient } from '../src/index.js';
import { ack, type Frame, joined, WELCOME } from './fake/socket.js';

/** Waits for a state of the client; the test's own timeout is the bound. */
async function reached(client: Client, state: string): Promise<void> {
  for await (const status of client.status) if (status.state === state) return;
}

describe('over real sockets, in Node', () => {
  const undo: (() => unknown)[] = [];
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });

  async function serve(): Promise<{ url: string; server: WebSocketServer; offered: string[] }> {
    const offered: string[] = [];
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    undo.push(() => new Promise(resolve => server.close(resolve)));
    await new Promise(resolve => server.once('listening', resolve));
    let seq = 0;
    server.on('connection', (socket, request) => {
      offered.push(`${request.url} ${request.headers['sec-websocket-protocol']}`);
      socket.on('message', data => {
        const frame = JSON.parse(String(data)) as Frame;
        const answer =
          frame.op === 'hello'
            ? WELCOME
            : frame.op === 'join'
              ? joined(frame.id, 0, 2)
              : ack(frame, ++seq + 2);
        socket.send(JSON.stringify(answer));
      });
    });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, offered };
  }

  function clientOf(url: string): Client {
    const client = createClient({ url, token: 't', WebSocket });
    undo.push(() => client.close());
    return client;
  }

  it('npm ws as the option `WebSocket`: joins, sends, and comes back after a cut', async () => {
    const { url, server, offered } = await serve();
    const client = clientOf(url);
    const room = client.room('chat:a');
    room.attach();
    await client.connect();
    await expect(room.messages.send({ text: 'hi' })).resolves.toMatchObject({ seq: 3, own: true });
    expect(room.status.get().seq).toBe(2);
    for (const socket of server.clients) socket.terminate();
    await reached(client, 'reconnecting');
    await reached(client, 'connected');
    expect(offered).toEqual(['/v1/ws roomlog.v1', '/v1/ws roomlog.v1']);
  });

  it('without that option: the global WebSocket where Node has one (22), else a sentence that says what to give', async () => {
    const { url } = await serve();
    const client = createClient({ url, token: 't' });
    undo.push(() => client.close());
    const connected = client.connect();
    if (Number(process.versions.node.split('.')[0]) < 22) {
      await expect(connected).rejects.toMatchObject({ code: 'no_websocket' });
    } else {
      await connected;
      expect(client.user).toBe('u1');
    }
  });

  it('a refused dial and one that is dropped half-way throw nothing', async () => {
    const mute = createServer();
    await new Promise<void>(resolve => mute.listen(0, '127.0.0.1', resolve));
    undo.push(() => new Promise(resolve => mute.close(resolve)));
    const { port } = mute.address() as AddressInfo;
    const hanging = clientOf(`http://127.0.0.1:${port}`);
    const accepted = new Promise<void>(resolve =>
      mute.once('connection', socket => {
        undo.push(() => socket.destroy());
        resolve();
      }),
    );
    void hanging.connect();
    await accepted;
    await hanging.close();
    const closed = createServer();
    await new Promise<void>(resolve => closed.listen(0, '127.0.0.1', resolve));
    const free = (closed.address() as AddressInfo).port;
    await new Promise(resolve => closed.close(resolve));
    const refused = clientOf(`http://127.0.0.1:${free}`);
    void refused.connect();
    await reached(refused, 'reconnecting');
    expect(refused.status.get().reason?.code).toBe('network');
  });
});
