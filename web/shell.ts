import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Plugin, Rolldown } from 'vite';
import type { Shell } from './src/shell/shell.ts';

const themeScript = 'src/theme/first.js';
const placeholder = '__SHELL__';

/**
 * Gives the script that runs before the first paint a name with its hash, as all other files have, and tells the service
 * worker which files the chat needs.
 */
export function shell(): Plugin {
  let theme: string;
  return {
    name: 'roomlog:shell',
    apply: 'build',
    enforce: 'post', // the documents are there when the bundle is made
    buildStart() {
      const source = readFileSync(new URL(themeScript, import.meta.url), 'utf8');
      theme = this.emitFile({ type: 'asset', name: 'theme.js', source });
    },
    generateBundle(_, bundle) {
      for (const file of Object.values(bundle))
        if (file.type === 'asset' && file.fileName.endsWith('.html'))
          file.source = String(file.source).replace(`/${themeScript}`, `/${this.getFileName(theme)}`);
      for (const file of Object.values(bundle))
        if (file.type === 'chunk' && file.code.includes(placeholder))
          file.code = file.code.replace(placeholder, JSON.stringify(shellOf(bundle, 'chat.html')));
    },
  };
}

/** The files that a document needs: those it names, those that these name, and so on. Hashes make names unmistakable. */
function shellOf(bundle: Rolldown.OutputBundle, document: string): Shell {
  const textOf = (name: string): string => {
    const file = bundle[name];
    if (!file) throw new Error(`the build has no ${name}`);
    return file.type === 'chunk' ? file.code : String(file.source);
  };
  const assets = Object.keys(bundle).filter(name => name.startsWith('assets/'));
  const namedIn = (name: string) =>
    assets.filter(asset => asset !== name && textOf(name).includes(asset.slice('assets/'.length)));
  const named = namedIn(document);
  const reached = new Set(named);
  for (const name of reached) for (const next of namedIn(name)) reached.add(next);
  const files = [...reached].sort().map(name => `/${name}`);
  const build = createHash('sha256')
    .update(textOf(document))
    .update(files.join())
    .digest('base64url')
    .slice(0, 16);
  return { build, page: `/${document.replace('.html', '')}`, files, named: named.map(name => `/${name}`) };
}
