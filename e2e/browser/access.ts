import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';

/**
 * What axe finds serious in a page, when what is about to come into sight is there: half faded in, it has half its contrast.
 * @param except a selector of what is not looked at
 */
export async function seriousFindings(page: Page, except?: string): Promise<string[]> {
  await page.evaluate(() =>
    Promise.allSettled(
      document
        .getAnimations()
        .filter(each => each.effect?.getComputedTiming().endTime !== Number.POSITIVE_INFINITY)
        .map(each => each.finished),
    ),
  );
  // In the page itself and what is wrong alone: there are no frames of other origins, for which it would open another page.
  const axe = new AxeBuilder({ page }).setLegacyMode().options({ resultTypes: ['violations'] });
  const { violations } = await (except === undefined ? axe : axe.exclude(except)).analyze();
  return violations
    .filter(v => v.impact === 'serious' || v.impact === 'critical')
    .map(v => `${v.id}: ${v.nodes.map(n => n.target.join(' ')).join(', ')}`);
}

/** Presses Tab until it has gone once around, and gives the names of what took the focus, which everything shows and nothing keeps. */
export async function tabAround(page: Page): Promise<string[]> {
  // Elements, not their places: what comes meanwhile moves those.
  const seen = await page.evaluateHandle(() => new Set<Element>());
  const names: string[] = [];
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press('Tab');
    const stop = await seen.evaluate(seen => {
      const element = document.activeElement;
      if (!element || element === document.body) return 'the browser’s own';
      if (seen.has(element)) return 'again';
      seen.add(element);
      const { outlineStyle, outlineWidth } = getComputedStyle(element.closest('label') ?? element);
      return {
        name: element.getAttribute('aria-label') ?? element.textContent ?? '',
        html: element.outerHTML.slice(0, 160),
        visible: outlineStyle !== 'none' && outlineWidth !== '0px',
      };
    });
    if (stop === 'again') break;
    if (typeof stop === 'string') continue;
    expect(stop).toMatchObject({ visible: true });
    names.push(stop.name);
  }
  await seen.dispose();
  return names;
}
