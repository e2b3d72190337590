// @vitest-environment happy-dom
import { act, type ReactNode } from 'react';
import { describe, expect, it } from 'vitest';
import { RoomProvider, useMessages, useRoom } from '../src/react/index.js';
import { ack, event, page } from './fake/socket.js';
import { pass, stage } from './fake/stage.js';

const set = stage();

function Rows() {
  const { messages, send } = useMessages();
  return (
    <ol>
      {messages.map(m => (
        <li key={m.tag} data-tag={m.tag} data-delivery={m.delivery}>
          {m.data.text}
        </li>
      ))}
      <button type="button" onClick={() => send({ text: 'mine' })} />
    </ol>
  );
}

const Named = ({ id }: { id: string }) => useRoom(id).status.state;
const First = ({ children }: { children: ReactNode }) => <main>{children}</main>;
const Second = ({ children }: { children: ReactNode }) => <article>{children}</article>;
const inRoom = (id: string, inside: ReactNode = <Rows />) => (
  <RoomProvider key={id} id={id}>
    {inside}
  </RoomProvider>
);

/** What the client said about rooms, in order. */
const said = () => set.network.last.sent.map(({ op, room }) => `${op} ${room}`);

describe('routes, under StrictMode', () => {
  it('the same room in another route, in one commit: nothing is left or joined', async () => {
    await set.render(<First>{inRoom('chat:a')}</First>);
    await set.joined();
    await set.render(<Second>{inRoom('chat:a')}</Second>);
    await pass(1_000);
    expect(set.host.querySelector('article')?.textContent).toBe('m1m2');
    await set.render(
      <First>
        <Named id="chat:a" />
      </First>,
    );
    await pass(1_000);
    expect(set.text).toBe('live');
    expect(said()).toEqual([]);
    expect(set.network.sockets).toHaveLength(1);
  });

  it('another room: one join and one leave, on the same socket', async () => {
    await set.render(<First>{inRoom('chat:a')}</First>);
    await set.joined();
    await set.render(<Second>{inRoom('chat:b')}</Second>);
    await pass(1_000);
    expect(said()).toEqual(['join chat:b', 'leave chat:a']);
    expect(set.network.sockets).toHaveLength(1);
  });

  it('there and back before the next macrotask: nothing', async () => {
    await set.render(<First>{inRoom('chat:a')}</First>);
    await set.joined();
    await act(async () => set.root.render(set.app(null)));
    await act(async () => set.root.render(set.app(<First>{inRoom('chat:a')}</First>)));
    await pass(1_000);
    expect(said()).toEqual([]);
    await set.render(null);
    await pass();
    expect(said()).toEqual(['leave chat:a']);
  });

  it('a room twice on a page is joined once, and left with the last', async () => {
    const both = [inRoom('chat:a'), <RoomProvider key="2" id="chat:a" />];
    await set.render(both);
    await set.joined();
    await set.render(both[1]);
    await pass(1_000);
    expect(said()).toEqual([]);
    await set.render(null);
    await pass();
    expect(said()).toEqual(['leave chat:a']);
  });

  it('another client: its rooms are joined on its own socket, the first one is left and stays open', async () => {
    await set.render(inRoom('chat:a'));
    const first = await set.joined();
    const { client } = set;
    const { createClient } = await import('../src/index.js');
    set.client = createClient({ url: 'http://h:1', token: 't', WebSocket: set.network.WebSocket });
    await set.render(inRoom('chat:a'));
    const second = await set.joined();
    expect(first.sent.map(({ op }) => op)).toEqual(['leave']);
    expect(second).not.toBe(first);
    expect(set.text).toBe('m1m2');
    await client.close();
  });
});

describe('rows', () => {
  it('keep key and DOM node through queued, sending, a drop, ack and page, with others before and behind', async () => {
    await set.render(inRoom('chat:a'));
    const button = () => set.host.querySelector('button') as HTMLButtonElement;
    await act(async () => button().click());
    const row = set.host.querySelector('li') as HTMLLIElement;
    const { tag } = row.dataset;
    const now = () => {
      const same = set.host.querySelector(`li[data-tag="${tag}"]`) === row;
      return `${same ? 'same' : 'other'} ${row.dataset.delivery}: ${set.text}`;
    };
    expect(now()).toBe('same queued: mine');
    const socket = await set.joined();
    expect(now()).toBe('same sending: m1m2mine');
    await act(async () => socket.end());
    expect(now()).toBe('same queued: m1m2mine');
    await pass(20_000);
    await act(async () => void set.network.last.welcome());
    const again = set.network.last;
    await act(
      async () =>
        void again.say({
          ...page(2, 3),
          op: 'joined',
          id: again.take('join').id,
          floor: 1,
          head: 3,
          page: page(2, 3),
        }),
    );
    expect(now()).toBe('same sending: m1m2m3mine');
    await act(async () => void again.say(ack(again.take('send'), 4)));
    expect(now()).toBe('same sent: m1m2m3mine');
    const mine = event(4, { author: 'u1', tag, data: { text: 'mine' } });
    await act(async () => void again.say({ ...page(3, 5), events: [mine, event(5)] }));
    expect(now()).toBe('same sent: m1m2m3minem5');
  });
});
