/** What the service worker of a page is told by the build. */
export interface Shell {
  /** Changes when anything of the page does. */
  readonly build: string;
  /** The path under which the document is served. */
  readonly page: string;
  /** The paths of all files that the document needs, now or later. */
  readonly files: readonly string[];
  /** Those of them that the document itself names. */
  readonly named: readonly string[];
}
