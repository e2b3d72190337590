package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// State is what `GET /` of a proxy's handler answers.
type State struct {
	Listen string      `json:"listen"`
	To     string      `json:"to"`
	Faults []Fault     `json:"faults"`
	Conns  []ConnState `json:"conns"`
}

// State describes the proxy as it is now.
func (p *Proxy) State() State {
	return State{Listen: p.Addr().String(), To: p.to, Faults: p.Faults(), Conns: p.Conns()}
}

// Handler commands the proxy over HTTP. Every answer is the [State] after the command as JSON, or
// a problem+json with status 400.
//
//	GET  /       the state
//	POST /fault  a [Fault], as in {"kind":"blackhole"}
//	POST /heal   ends all faults, or with {"class":"/v1/ws"} the one of that class
//	POST /cut    resets all connections, or with {"class":…} those of a class, or with {"id":7} one
//
// Pages of other origins are refused, so that no web page can cut the connections of who opens it.
func (p *Proxy) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { p.answer(w, nil) })
	mux.HandleFunc("POST /fault", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		err := readBody(r, &f)
		if err == nil {
			err = p.Set(f)
		}
		p.answer(w, err)
	})
	mux.HandleFunc("POST /heal", func(w http.ResponseWriter, r *http.Request) {
		var which struct{ Class *string }
		err := readBody(r, &which)
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			p.answer(w, err)
			return
		case which.Class != nil:
			p.HealClass(*which.Class)
		default:
			p.Heal()
		}
		p.answer(w, nil)
	})
	mux.HandleFunc("POST /cut", func(w http.ResponseWriter, r *http.Request) {
		var which struct {
			Class string
			ID    uint64
		}
		err := readBody(r, &which)
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			p.answer(w, err)
			return
		case which.ID != 0:
			p.Cut(which.ID)
		default:
			p.cut(which.Class)
		}
		p.answer(w, nil)
	})
	return http.NewCrossOriginProtection().Handler(mux)
}

// readBody decodes one JSON object; io.EOF means that the body was empty.
func readBody(r *http.Request, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 64<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("read the command: %w", err)
	}
	return nil
}

func (p *Proxy) answer(w http.ResponseWriter, err error) {
	if err != nil {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadRequest)
		// A client that has gone needs no answer.
		_ = json.NewEncoder(w).Encode(map[string]any{"title": err.Error(), "status": http.StatusBadRequest, "code": "bad_request"})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p.State())
}
