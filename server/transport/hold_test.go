package transport

import (
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// Answers are held for what came with them, and not for an issuer whose keys a refresh has to wait for: AUTH-10.
func TestAnswersDoNotWaitForAnIssuer(t *testing.T) {
	let := make(chan struct{})
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-let:
			_, _ = io.WriteString(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"other","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
		case <-r.Context().Done(): // the fetch was given up
		}
	}))
	defer issuer.Close()
	set, err := auth.NewKeySet("slow", issuer.URL, slog.New(slog.DiscardHandler))
	must(t, err)
	f := start(t, options{server: func(c *Config) {
		c.Verifier, err = auth.New(auth.Keys{Secret: testKey, Sets: []*auth.KeySet{set}})
		must(t, err)
	}})
	warm := f.login("u2")
	warm.sendf(`{"op":"join","room":"chat:a"}`)
	warm.expect("joined")

	p := f.login("u1")
	var token []string
	for _, part := range []string{`{"alg":"RS256","kid":"unknown"}`, `{"iss":"slow","sub":"u1"}`, "signature"} {
		token = append(token, base64.RawURLEncoding.EncodeToString([]byte(part)))
	}
	p.write(append(frame(0x81, []byte(`{"op":"join","id":1,"room":"chat:a"}`)),
		frame(0x81, []byte(`{"op":"refresh","id":2,"token":"`+strings.Join(token, ".")+`"}`))...))
	p.expect("joined")
	close(let)
	if m := p.expect("error"); m["code"] != string(room.CodeUnauthenticated) { // had the fetch been given up: unavailable
		t.Errorf("the joined frame came when the fetch was over: %v", m)
	}
}
