import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import '../styles/font-text.css';
import '../styles/tokens.css';
import '../styles/base.css';
import '../styles/top.css';
import '../styles/pane.css';
import '../styles/cursors.css';
import '../styles/hues.css';
import '../styles/pointer.css';
import '../styles/plan.css';
import { Cursors } from './Cursors.tsx';

const root = document.getElementById('root');
if (!root) throw new Error('cursors.html has no #root');
createRoot(root).render(
  <StrictMode>
    <Cursors />
  </StrictMode>,
);
