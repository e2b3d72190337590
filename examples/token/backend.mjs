// A backend that gives tokens to those who are signed in: ROOMLOG_KEY=… node backend.mjs
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';

const part = data => Buffer.from(data).toString('base64url');

function sign(user, key) {
  const now = Math.floor(Date.now() / 1000);
  const grants = [{ rooms: 'chat:*', can: ['read', 'send'] }];
  const claims = { sub: user, iat: now, exp: now + 3600, grants };
  const text = `${part('{"alg":"HS256","typ":"JWT"}')}.${part(JSON.stringify(claims))}`;
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}

/** Who is signed in: ask your own session. Here whoever asks is believed, which is for trying it out only. */
const signedIn = request => new URL(request.url, 'http://backend').searchParams.get('user');

const server = createServer((request, response) => {
  const user = signedIn(request);
  if (!user) return response.writeHead(401).end();
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-store' });
  return response.end(sign(user, process.env.ROOMLOG_KEY));
});
const port = Number(process.env.PORT ?? 3000);
server.listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}`));
