import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  API,
  type Project,
  type Signature,
  SignatureKind,
  type Symbol as Sym,
  SymbolFlags,
  type Type,
} from 'typescript/unstable/sync';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// Whoever points at a name in an editor reads what it is: each export of each entry, and each public member of it.

// Compilers take their time where others compile too.
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const { exports } = JSON.parse(readFileSync(here('../package.json'), 'utf8')) as {
  exports: Record<string, { types: string } | string>;
};
const entries = Object.entries(exports).flatMap(([entry, target]) =>
  typeof target === 'string'
    ? []
    : [[entry, target.types.replace('./dist/', '../src/').replace('.d.ts', '.ts')]],
) as [entry: string, source: string][];

let api: API;
let project: Project;
beforeAll(() => {
  api = new API();
  const config = here('../tsconfig.json');
  const found = api.updateSnapshot({ openProjects: [config] }).getProject(config);
  if (!found) throw new Error('there is no project');
  project = found;
});
afterAll(() => api?.close());

/** A function's comment is that of each of its overloads: an editor shows the one that is called. */
function documented(symbol: Sym): boolean {
  const overloads = symbol.flags & SymbolFlags.Function ? signatures(symbol) : [];
  if (overloads.some(({ declaration }) => !declaration?.resolve()?.jsDoc?.length)) return false;
  return project.checker.getDocumentationCommentOfSymbol(symbol).trim() !== '';
}

function signatures(symbol: Sym): readonly Signature[] {
  const type = project.checker.getTypeOfSymbol(symbol);
  return type ? project.checker.getSignaturesOfType(type, SignatureKind.Call) : [];
}

/** Whether it is declared in this package: what comes from elsewhere is documented there, or not. */
const ours = (symbol: Sym) => symbol.declarations.some(({ path }) => path.includes('/client/src/'));

/** The public members of a class, an interface or an object type, that are declared here. */
function members(symbol: Sym): Sym[] {
  if (!(symbol.flags & (SymbolFlags.Class | SymbolFlags.Interface | SymbolFlags.TypeAlias))) return [];
  const type: Type = project.checker.getDeclaredTypeOfSymbol(symbol);
  return project.checker
    .getPropertiesOfType(type)
    .filter(member => ours(member) && !/^#|^__#/.test(member.name));
}

/** What an entry exports, and where a doc comment is missing. */
function look(source: string): { names: string[]; undocumented: string[] } {
  const file = project.program.getSourceFile(here(source));
  const module = file && project.checker.getSymbolAtLocation(file);
  if (!module) throw new Error(`${source} is no module`);
  const undocumented: string[] = [];
  const names = project.checker.getExportsOfModule(module).map(exported => {
    const alias = exported.flags & SymbolFlags.Alias;
    const symbol = alias ? project.checker.getAliasedSymbol(exported) : exported;
    if (!documented(symbol)) undocumented.push(exported.name);
    for (const member of members(symbol)) {
      if (!documented(member)) undocumented.push(`${exported.name}.${member.name}`);
    }
    return exported.name;
  });
  return { names, undocumented };
}

describe('doc comments', () => {
  it('are looked for in what is exported', () => {
    expect(entries.length).toBeGreaterThan(4);
    const { names } = look('../src/index.ts');
    expect(names).toEqual(
      expect.arrayContaining(['createClient', 'RoomlogError', 'Room', 'ConnectionState']),
    );
    expect(signatures(symbolOf('../src/react/index.ts', 'useRoom'))).toHaveLength(3);
    expect(members(symbolOf('../src/index.ts', 'Room')).map(({ name }) => name)).toContain('attach');
  });

  it.each(entries)('%s: every export and every public member has one', (_, source) => {
    expect(look(source).undocumented).toEqual([]);
  });
});

function symbolOf(source: string, name: string): Sym {
  const file = project.program.getSourceFile(here(source));
  const module = file && project.checker.getSymbolAtLocation(file);
  const found = module && project.checker.getExportsOfModule(module).find(each => each.name === name);
  if (!found) throw new Error(`${source} exports no ${name}`);
  return found.flags & SymbolFlags.Alias ? project.checker.getAliasedSymbol(found) : found;
}
