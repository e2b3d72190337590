import type { Page } from 'playwright-core';

/** Watches so many frames of a page and says how many there were a second, how far apart, and what they cost: to be read, not judged. */
export async function framesOf(page: Page, count = 300): Promise<string> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable');
  const spent = async () => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
  };
  const before = await spent();
  const spans = await page.evaluate(
    count =>
      new Promise<number[]>(done => {
        const spans: number[] = [];
        let last = performance.now();
        const draw = (now: number) => {
          spans.push(now - last);
          last = now;
          if (spans.length < count) requestAnimationFrame(draw);
          else done(spans.slice(1).sort((a, b) => a - b));
        };
        requestAnimationFrame(draw);
      }),
    count,
  );
  const after = await spent();
  const at = (share: number) => spans[Math.floor((spans.length - 1) * share)]?.toFixed(1);
  const total = spans.reduce((sum, span) => sum + span, 0);
  const share = (name: string) =>
    `${((100_000 * (Number(after[name]) - Number(before[name]))) / total).toFixed(1)} %`;
  return (
    `${((1_000 * spans.length) / total).toFixed(1)} frames/s over ${(total / 1_000).toFixed(1)} s, ` +
    `between frames p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms, at most ${at(1)} ms; of one core, scripts ${share('ScriptDuration')}, ` +
    `styles ${share('RecalcStyleDuration')}, layout ${share('LayoutDuration')}, all tasks of the page ${share('TaskDuration')}`
  );
}
