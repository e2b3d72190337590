import { createClient } from 'roomlog';
import { RoomlogProvider, RoomProvider, useConnection, useMessages } from 'roomlog/react';
const client = createClient({ url: 'http://127.0.0.1:8080', token: 'TOKEN' });
export default () => (
  <RoomlogProvider client={client}><RoomProvider id="chat:lobby"><Chat /></RoomProvider></RoomlogProvider>);
function Chat() {
  const { messages, send, retry } = useMessages(); const { state } = useConnection();
  return <><p role="status">{state}</p><ol>{messages.map(m => <li key={m.tag} data-delivery={m.delivery}>{m.data.text}
    {m.delivery === 'failed' && <button onClick={() => retry(m.tag)}>Retry</button>}</li>)}</ol>
    <form onSubmit={e => { e.preventDefault(); const f = e.currentTarget; send({ text: String(new FormData(f).get('t')) }); f.reset(); }}><input name="t" aria-label="Message" /></form></>;
}
