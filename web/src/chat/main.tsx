import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import '../styles/font-text.css';
import '../styles/tokens.css';
import '../styles/base.css';
import '../styles/top.css';
import '../styles/pane.css';
import '../styles/talk.css';
import '../styles/strip.css';
import '../styles/chat.css';
import '../styles/rooms.css';
import '../styles/bubble.css';
import '../styles/changes.css';
import '../styles/people.css';
import '../styles/search.css';
import { keepShell } from '../shell/keep.ts';
import { Chat } from './Chat.tsx';

keepShell();

const root = document.getElementById('root');
if (!root) throw new Error('chat.html has no #root');
createRoot(root).render(
  <StrictMode>
    <Chat />
  </StrictMode>,
);
