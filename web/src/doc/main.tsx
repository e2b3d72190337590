import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import '../styles/font-text.css';
import '../styles/tokens.css';
import '../styles/base.css';
import '../styles/top.css';
import '../styles/pane.css';
import '../styles/hues.css';
import '../styles/desk.css';
import '../styles/doc.css';
import { Doc } from './Doc.tsx';

const root = document.getElementById('root');
if (!root) throw new Error('doc.html has no #root');
createRoot(root).render(
  <StrictMode>
    <Doc />
  </StrictMode>,
);
