/** Does something with code that is loaded; undefined where it could not be loaded. */
export interface Later<T> {
  <R>(what: (code: T) => R | Promise<R>): Promise<R | undefined>;
  /** The code, once it is loaded. */
  code?: T;
}

/**
 * Code that is loaded when it is first needed. What is to be done with it is done in the order of the calls. Where it cannot be loaded `failed`
 * is told instead, and the next call tries again.
 */
export function later<T>(load: () => Promise<T>, failed: (cause: unknown) => void = () => {}): Later<T> {
  let loading: Promise<T> | undefined;
  const use: Later<T> = what => {
    loading ??= load().then(code => (use.code = code));
    return loading.then(what, cause => {
      loading = undefined;
      failed(cause);
      return undefined;
    });
  };
  return use;
}
