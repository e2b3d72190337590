import { createClient } from '../../src/index.js';
import { FakeNetwork } from './socket.js';

// A module of an application, as one would write it: the client is made where the module is imported.
export const network = new FakeNetwork();
export const client = createClient({ url: 'http://h:1', token: 't', WebSocket: network.WebSocket });
