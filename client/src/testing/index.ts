/**
 * For the tests of an application: a server in memory, the network before it, and a clock. Nothing of it belongs into
 * what users load.
 *
 * @packageDocumentation
 */
export { createTestClock, type TestClock, type TestClockOptions } from './clock.js';
export type { TestRequest } from './http.js';
export type { TestGrant, TestSend, TestVerdict } from './hub.js';
export type { TestBlockable, TestNetwork, TestTamper } from './network.js';
export type { TestRefusal } from './refusal.js';
export {
  createTestServer,
  type TestAppend,
  type TestClientOptions,
  type TestConnection,
  type TestEvent,
  type TestServer,
  type TestServerOptions,
} from './server.js';
