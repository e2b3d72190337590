/** What Chromium wants instead of an address of code, so that no other can be slipped in. */
interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL(url: string): string },
  ): { createScriptURL(url: string): string };
}

const address = '/shell.js';

/**
 * Lets the browser keep the page's own files once the page has loaded, so that it opens without a server. Where browsers do
 * not allow that (no HTTPS, private windows) or the pages are not built (`npm run dev`), nothing is kept.
 */
export function keepShell(): void {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
  const policy = trustedTypes?.createPolicy('shell', { createScriptURL: () => address });
  addEventListener('load', () => {
    navigator.serviceWorker
      .register(policy?.createScriptURL(address) ?? address, { scope: '/chat', updateViaCache: 'none' })
      .catch(() => {}); // then it opens with a server only, as pages do
  });
}
