#!/usr/bin/env node
// Socket.IO 4 with connection state recovery, over WebSocket alone. A client emits ('join', room) and
// ('send', room, body), each with an acknowledgement; the room's members receive ('m', body).
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { Server } from 'socket.io';

const { values } = parseArgs({ options: { listen: { type: 'string', default: '127.0.0.1:0' } } });
const [, host, port] = /^(.*):(\d+)$/.exec(values.listen) ?? [];
if (host !== 'localhost' && host !== '[::1]' && !/^127\.\d+\.\d+\.\d+$/.test(host ?? '')) {
  console.error(`${values.listen} is no loopback address: a peer has no access control`);
  process.exit(1);
}

const http = createServer();
const io = new Server(http, {
  transports: ['websocket'],
  serveClient: false,
  pingInterval: 10_000,
  pingTimeout: 20_000,
  connectionStateRecovery: { maxDisconnectionDuration: 120_000, skipMiddlewares: true },
});
io.on('connection', socket => {
  socket.conn.request = null; // the documentation's advice for memory: the first request is not needed any more
  socket.on('join', (room, done) => {
    socket.join(room);
    done();
  });
  socket.on('send', (room, body, done) => {
    io.to(room).emit('m', body);
    done();
  });
});

process.on('SIGTERM', () => process.exit(0));
process.on('SIGINT', () => process.exit(0));
http.listen(Number(port), host.replace(/[[\]]/g, ''), () => {
  const { address, port } = http.address();
  console.log(address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`);
});
