import type { TestCase, TestModule, Vitest } from 'vitest/node';
import type { Reporter } from 'vitest/reporters';

/** Names the tests that passed at their second try alone, with what was wrong at the first: they are to be mended, though nothing is refused for them. */
export default class Unsteady implements Reporter {
  #vitest: Vitest | undefined;

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap(module => [...module.children.allTests()]);
    for (const test of tests.filter(each => each.diagnostic()?.flaky)) this.#tell(test);
  }

  #tell(test: TestCase): void {
    const errors = test.result().errors ?? [];
    const why = errors.map(({ message, stack, diff }) => [stack ?? message, diff].join('\n')).join('\n');
    this.#vitest?.logger.log(
      `UNSTEADY, passed at the second try: ${test.module.relativeModuleId} > ${test.fullName}\n${why}\n`,
    );
  }
}
