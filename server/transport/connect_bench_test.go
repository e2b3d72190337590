package transport

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/store/sqlite"
	"roomlog/server/transport/auth"
)

// BenchmarkConnectAndJoin opens a WebSocket over loopback, says hello, joins a room that is in memory, and
// closes: at the gate, and by net/http, to which a head goes that the gate does not take. The client's own
// work, which is a dozen allocations, is in the figures.
func BenchmarkConnectAndJoin(b *testing.B) {
	for name, head := range map[string]string{"gate": handshake, "net/http": handshake + "Content-Length: 0\r\n"} {
		b.Run(name, func(b *testing.B) {
			addr, token := serveBench(b)
			opening := []byte(head + "\r\n")
			frames := append(frame(0x81, fmt.Appendf(nil, `{"op":"hello","token":%q}`, token)), frame(0x81, []byte(`{"op":"join","id":1,"room":"chat:a"}`))...)
			scratch := make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				nc, err := net.Dial("tcp", addr)
				if err != nil {
					b.Fatal(err)
				}
				for _, step := range []struct {
					say  []byte
					want string
				}{{opening, "\r\n\r\n"}, {frames, `"joined"`}} {
					if _, err := nc.Write(step.say); err != nil {
						b.Fatal(err)
					}
					for n := 0; !bytes.Contains(scratch[:n], []byte(step.want)); {
						more, err := nc.Read(scratch[n:])
						if err != nil {
							b.Fatalf("%v after %q", err, scratch[:n])
						}
						n += more
					}
				}
				if err := nc.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// serveBench serves as the app does, until the benchmark ends.
func serveBench(b *testing.B) (addr, token string) {
	b.Helper()
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	store, err := sqlite.Open(context.Background(), filepath.Join(b.TempDir(), "roomlog.db"), nil)
	check(err)
	h := hub.New(hub.Config{Store: store})
	h.Start()
	verifier, err := auth.NewVerifier(testKey)
	check(err)
	signer, err := auth.NewSigner(testKey)
	check(err)
	token, _, err = signer.Sign("u1", auth.Everything(), time.Hour)
	check(err)
	limits := DevLimits()
	limits.JoinsPerSecond, limits.JoinBurst = 1e9, 1e9
	srv, err := New(Config{Hub: h, Verifier: verifier, Limits: limits, Access: store, Rooms: store})
	check(err)
	l, err := Listen("127.0.0.1:0")
	check(err)
	web := &http.Server{Handler: srv, ReadHeaderTimeout: patience}
	served := make(chan struct{})
	gate := srv.Guard(l, 0)
	go func() {
		defer close(served)
		_ = web.Serve(gate)
	}()
	b.Cleanup(func() {
		_ = web.Close()
		<-served
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		check(h.Stop(ctx))
		check(srv.Close(ctx))
		check(store.Close())
	})
	return l.Addr().String(), token
}
