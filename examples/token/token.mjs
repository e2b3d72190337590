// Prints a token for a user: ROOMLOG_KEY=… node token.mjs mira
import { createHmac } from 'node:crypto';

const part = data => Buffer.from(data).toString('base64url');

export function sign(user, key) {
  const now = Math.floor(Date.now() / 1000);
  const grants = [{ rooms: 'chat:*', can: ['read', 'send'] }];
  const claims = { sub: user, iat: now, exp: now + 3600, grants };
  const text = `${part('{"alg":"HS256","typ":"JWT"}')}.${part(JSON.stringify(claims))}`;
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}

console.log(sign(process.argv[2], process.env.ROOMLOG_KEY));
