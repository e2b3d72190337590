import { ThemeSwitch } from './ThemeSwitch.tsx';

const pages = [
  { id: 'home', name: 'Tunnel', href: '/' },
  { id: 'chat', name: 'Chat', href: '/chat' },
  { id: 'cursors', name: 'Cursors', href: '/cursors' },
  { id: 'board', name: 'Board', href: '/board' },
  { id: 'doc', name: 'Doc', href: '/doc' },
  { id: 'dashboard', name: 'Dashboard', href: '/dashboard' },
] as const;

/** What stands above every page: whose it is, the pages there are, and the theme. */
export function TopBar({ here }: { readonly here: (typeof pages)[number]['id'] }) {
  return (
    <header className="top">
      <p className="mark">
        <Mark /> <span>Roomlog</span>
      </p>
      <nav className="pages" aria-label="Pages">
        {pages.map(({ id, name, href }) => (
          <a
            key={id}
            href={href}
            aria-current={id === here ? 'page' : undefined}
            ref={id === here ? show : null}
          >
            {name}
          </a>
        ))}
      </nav>
      <ThemeSwitch />
    </header>
  );
}

/** Where not all pages fit, the one that is open is in sight. */
function show(page: HTMLElement | null) {
  const pages = page?.parentElement;
  if (page && pages)
    pages.scrollLeft = page.offsetLeft - pages.offsetLeft - (pages.clientWidth - page.clientWidth) / 2;
}

function Mark() {
  return (
    <svg className="mark-sign" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect x="2" y="7" width="7" height="18" rx="2.5" className="mark-live" />
      <rect x="12" y="7" width="7" height="18" rx="2.5" className="mark-replay" />
      <circle cx="26" cy="16" r="4.5" className="mark-own" />
    </svg>
  );
}
