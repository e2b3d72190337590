import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import '../styles/font-text.css';
import '../styles/tokens.css';
import '../styles/base.css';
import '../styles/top.css';
import '../styles/pane.css';
import '../styles/dashboard.css';
import { Dashboard } from './Dashboard.tsx';

const root = document.getElementById('root');
if (!root) throw new Error('dashboard.html has no #root');
createRoot(root).render(
  <StrictMode>
    <Dashboard />
  </StrictMode>,
);
