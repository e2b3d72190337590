import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import './styles/font-text.css';
import './styles/font-code.css';
import './styles/tokens.css';
import './styles/base.css';
import './styles/top.css';
import './styles/home.css';
import './styles/pane.css';
import './styles/talk.css';
import './styles/strip.css';
import './styles/start.css';
import { greet } from './guest/greeting.ts';
import { letIn } from './guest/guest.ts';
import { Home } from './Home.tsx';

/** The room of the quickstart. */
const lobby = 'chat:lobby';

// The guests live as long as the page: made here, outside React, they are let in once.
const guests = [letIn('Mira', lobby, location.origin), letIn('Jonas', lobby, location.origin)] as const;
// A page kept for the back button comes back with its connections, so it keeps its tunnels.
addEventListener('pagehide', event => {
  if (!event.persisted) for (const guest of guests) guest.line.close();
});

// A greeting that is refused shows as such in its pane; there is nothing to add to that.
greet(guests).catch(() => {});

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <Home guests={guests} />
  </StrictMode>,
);
