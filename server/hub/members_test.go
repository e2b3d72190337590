package hub

import (
	"sync"
	"testing"
	"testing/synctest"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// exile is who may read until a member event says "out".
type exile struct {
	mu        sync.Mutex
	out       map[room.ID]bool
	restarted int
}

func (x *exile) Member(id room.ID, e *room.Event, _ bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.out[id] = string(e.Data) == `"out"`
}

func (x *exile) Restarted(room.ID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.restarted++
}

func (x *exile) Grown(room.ID) {}

func (x *exile) Permits(id room.ID) *room.Error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.out[id] {
		return &room.Error{Code: room.CodeUnknownRoom, Title: "Out."}
	}
	return nil
}

// I17, MEM-7: a cursor is given nothing that follows the event that ends it, though both come at once; it is told so, and others go on.
func TestExpelledBeforeWhatFollows(t *testing.T) {
	for name, f := range map[string]wire.Framing{"socket": wire.WebSocket, "stream": wire.EventStream} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, x := newModel(), &exile{out: map[room.ID]bool{}}
				h := New(Config{Store: m})
				h.TellMembers(x)
				h.Start()
				defer stop(t, h)
				var mu sync.Mutex
				seqs, errors := map[string]room.Seq{}, map[string]room.Code{}
				follow := func(who string, p Permit) *peer {
					sink := newPeer(f, func(got frame) error {
						mu.Lock()
						defer mu.Unlock()
						switch got.Op {
						case "page":
							seqs[who] = got.Seq
						case "error":
							errors[who] = got.Code
						}
						return nil
					})
					c, err := h.Attach(sink, f)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(c.Detach)
					if err := c.Follow(t.Context(), []Join{{Room: "chat:a", Permit: p}}, func([]Followed) []byte { return nil }); err != nil {
						t.Fatal(err)
					}
					return sink
				}
				out := follow("out", x)
				follow("stays", nil)
				say := func(typ, data string) {
					s := send("chat:a")
					s.Type, s.Data = typ, []byte(data)
					h.Submit(Submit{Send: s}, func(Outcome) {})
				}
				say("message", `1`)
				synctest.Wait()
				account := h.Account("chat:a")
				for _, e := range [][2]string{{"message", `2`}, {"member", `"in"`}, {"message", `4`}, {"member", `"out"`}, {"message", `6`}} {
					say(e[0], e[1])
				}
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				if seqs["out"] >= 5 || seqs["stays"] != 6 {
					t.Errorf("I17: pages up to %v, and the membership of one ended by event 5", seqs)
				}
				if code := errors["out"]; f == wire.WebSocket && code != room.CodeUnknownRoom {
					t.Errorf("MEM-7: told %q", code)
				}
				if f == wire.EventStream && (out.closed == nil || out.closed.Code != room.CodeUnknownRoom) {
					t.Errorf("MEM-7: the stream ends by %v", out.closed)
				}
				if account == 0 || h.Account("chat:a") != account || h.Account("chat:b") != 0 {
					t.Errorf("the account of a room that went on is %d, was %d", h.Account("chat:a"), account)
				}
			})
		})
	}
}

// A room that is read anew has another account, and whoever may have missed events hears of it.
func TestAccountEndsWithTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, x := newModel(), &exile{out: map[room.ID]bool{}}
		h := New(Config{Store: m})
		h.TellMembers(x)
		h.Start()
		defer stop(t, h)
		if _, err := h.Poll(t.Context(), Join{Room: "chat:a"}, 0); err != nil {
			t.Fatal(err)
		}
		was := h.Account("chat:a")
		h.Notice(room.Head{Room: "chat:a", Epoch: "another", Floor: 1})
		if _, err := h.Poll(t.Context(), Join{Room: "chat:a"}, 0); err != nil {
			t.Fatal(err)
		}
		if is := h.Account("chat:a"); was == 0 || is == 0 || is == was || x.restarted != 1 {
			t.Errorf("the account of a room that began anew is %d, was %d; told %d times", is, was, x.restarted)
		}
	})
}
