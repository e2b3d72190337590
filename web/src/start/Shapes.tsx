/** The pages by the shape of app that each shows, and how wrong an update may be there, and for how long. */
const shapes = [
  {
    name: 'Chat',
    href: '/chat',
    shape: 'A conversation.',
    wrong: 'Never wrong: nothing is lost, doubled or out of order, however long somebody was away.',
  },
  {
    name: 'Cursors',
    href: '/cursors',
    shape: 'Where everybody points.',
    wrong:
      'Wrong for a moment: the latest place counts, nothing is stored, and what got lost is said anew by the next move.',
  },
  {
    name: 'Board',
    href: '/board',
    shape: 'Fields that everybody changes.',
    wrong:
      'Right in the end: the last write of a field wins, everybody sees the same, and who lost is told and may put it back.',
  },
  {
    name: 'Doc',
    href: '/doc',
    shape: 'A text that several write.',
    wrong:
      'Never wrong, but merged: letters typed at once in one place all stay, offline ones too, and everybody ends with the same text.',
  },
  {
    name: 'Dashboard',
    href: '/dashboard',
    shape: 'Figures that come one way.',
    wrong:
      'Never wrong, but it may skip: who was away reads the newest points at once, and old data says how old it is.',
  },
] as const;

/** Leads to the other pages. */
export function Shapes() {
  return (
    <section className="shapes" aria-labelledby="shapes">
      <h2 id="shapes">How wrong may an update be?</h2>
      <ul>
        {shapes.map(({ name, href, shape, wrong }) => (
          <li key={href}>
            <a href={href}>{name}</a>
            <span>
              {shape} {wrong}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
