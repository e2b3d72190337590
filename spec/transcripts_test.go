package spec_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// transcript is one file of transcripts/; its README says what the fields mean.
type transcript struct {
	Name   string          `json:"name"`
	About  string          `json:"about"`
	Rules  []string        `json:"rules"`
	For    []string        `json:"for"`
	Why    string          `json:"why"`
	Grants json.RawMessage `json:"grants"`
	Steps  []step          `json:"steps"`
}

type step struct {
	App    map[string]any `json:"app"`
	Client map[string]any `json:"client"`
	Go     map[string]any `json:"go"`
	Lost   bool           `json:"lost"`
	Bad    bool           `json:"bad"`
	Raw    *string        `json:"raw"`
	Server map[string]any `json:"server"`
	Any    []step         `json:"any_order"`
	HTTP   *struct {
		As       string         `json:"as"`
		Method   string         `json:"method"`
		Path     string         `json:"path"`
		Body     map[string]any `json:"body"`
		Status   int            `json:"status"`
		Response map[string]any `json:"response"`
	} `json:"http"`
	Drop   bool           `json:"drop"`
	Close  int            `json:"close"`
	Expect map[string]any `json:"expect"`
}

// kinds lists which of the steps' kinds a step is; there has to be one.
func (s *step) kinds() []string {
	var kinds []string
	for kind, is := range map[string]bool{
		"app": s.App != nil, "client": s.Client != nil, "raw": s.Raw != nil, "server": s.Server != nil, "any_order": s.Any != nil,
		"http": s.HTTP != nil, "drop": s.Drop, "close": s.Close != 0, "expect": s.Expect != nil,
	} {
		if is {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func transcripts(t *testing.T) []transcript {
	t.Helper()
	paths, err := filepath.Glob("transcripts/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	var all []transcript
	for _, path := range paths {
		var tr transcript
		decodeStrictly(t, path, readFile(t, path), &tr)
		if tr.Name+".json" != filepath.Base(path) {
			t.Errorf("%s says that its name is %q", path, tr.Name)
		}
		all = append(all, tr)
	}
	return all
}

func TestTranscriptsAreWellFormed(t *testing.T) {
	known := rules(t)
	for _, tr := range transcripts(t) {
		t.Run(tr.Name, func(t *testing.T) {
			if tr.About == "" || len(tr.Rules) == 0 || len(tr.Steps) == 0 {
				t.Error("it lacks about, rules or steps")
			}
			for _, id := range tr.Rules {
				if !slices.Contains(known, id) {
					t.Errorf("it quotes %s, which PROTOCOL.md does not define", id)
				}
			}
			both := slices.Equal(tr.For, []string{"go", "ts"})
			one := slices.Equal(tr.For, []string{"go"}) || slices.Equal(tr.For, []string{"ts"})
			if both == (tr.Why != "") || !both && !one {
				t.Errorf("it is for %q, and says why: %q", tr.For, tr.Why)
			}
			tr.checkSteps(t)
		})
	}
}

func (tr *transcript) checkSteps(t *testing.T) {
	t.Helper()
	sends := make(map[any]bool)
	acts := false
	for i, s := range tr.Steps {
		kinds := s.kinds()
		if len(kinds) != 1 {
			t.Fatalf("step %d is of %d kinds: %q", i, len(kinds), kinds)
		}
		if s.Client == nil && (s.Go != nil || s.Lost) {
			t.Errorf("step %d: go and lost belong to a client's frame", i)
		}
		if s.Raw != nil && slices.Contains(tr.For, "ts") {
			t.Errorf("step %d: raw text is for Go alone", i)
		}
		for _, one := range s.Any {
			if one.Server == nil {
				t.Errorf("step %d: any_order holds server frames", i)
			}
		}
		if send, ok := s.App["send"].(map[string]any); ok {
			sends[send["as"]] = true
		}
		acts = acts || s.App != nil
		delivery, _ := s.Expect["delivery"].(map[string]any)
		for as := range delivery {
			if !sends[as] {
				t.Errorf("step %d expects something of %q, which was not sent", i, as)
			}
		}
	}
	if acts != slices.Contains(tr.For, "ts") {
		t.Error("an application acts where, and only where, the transcript is for ts")
	}
}

// validate holds every frame, its placeholders filled in, against its schema. A frame marked as bad
// has to break it.
func (tr *transcript) validate(t *testing.T, s *shapes) {
	t.Helper()
	f := filler{kept: make(map[string]any)}
	for i, st := range tr.Steps {
		at := fmt.Sprintf("%s, step %d", tr.Name, i)
		switch {
		case st.Client != nil:
			s.checkFrame(t, at, "client", f.fill(st.Client), st.Bad)
			if st.Go != nil {
				instead := maps.Clone(st.Client)
				maps.Copy(instead, st.Go)
				s.checkFrame(t, at+" (go)", "client", f.fill(instead), st.Bad)
			}
		case st.Server != nil:
			s.checkFrame(t, at, "server", f.fill(st.Server), st.Bad)
		case st.HTTP != nil && st.HTTP.Body != nil:
			if err := s.validate(bodyOf(st.HTTP.Path), f.fill(st.HTTP.Body)); err != nil {
				t.Errorf("%s: %v", at, err)
			}
		}
		for _, one := range st.Any {
			s.checkFrame(t, at, "server", f.fill(one.Server), one.Bad)
		}
	}
}

// bodyOf names the schema of what is sent to a path.
func bodyOf(path string) string {
	switch {
	case strings.Contains(path, "/bans/"):
		return "http-ban-order"
	case strings.HasSuffix(path, "/revoke"):
		return "http-revoke-order"
	}
	return "http-send"
}

func (s *shapes) checkFrame(t *testing.T, at, side string, frame map[string]any, bad bool) {
	t.Helper()
	name := s.frame(side, frame)
	if name == "" {
		if !bad {
			t.Errorf("%s: there is no schema for the op %v", at, frame["op"])
		}
		return
	}
	if err := s.validate(name, frame); (err != nil) != bad {
		t.Errorf("%s: marked as bad: %v, but %v", at, bad, err)
	}
}

// filler puts values in place of placeholders, as the README of the transcripts says.
type filler struct {
	kept map[string]any
	ids  int
	tags int
}

var (
	name     = regexp.MustCompile(`^\$[a-zA-Z][a-zA-Z0-9_]*$`)
	embedded = regexp.MustCompile(`\$\{([a-zA-Z][a-zA-Z0-9_]*)\}`)
)

func (f *filler) fill(frame map[string]any) map[string]any {
	return f.object(frame, "k3f9")
}

func (f *filler) object(in map[string]any, epoch string) map[string]any {
	if e, ok := in["epoch"]; ok {
		epoch, _ = f.value("epoch", e, "", nil).(string)
	}
	out := make(map[string]any, len(in))
	for _, key := range slices.Sorted(maps.Keys(in)) {
		if in[key] != "$absent" {
			out[key] = f.value(key, in[key], epoch, in["seq"])
		}
	}
	return out
}

func (f *filler) value(key string, v any, epoch string, seq any) any {
	switch v := v.(type) {
	case map[string]any:
		return f.object(v, epoch)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = f.value(key, v[i], epoch, seq)
		}
		return out
	case string:
		if name.MatchString(v) {
			return f.placeholder(key, v, epoch, seq)
		}
		return embedded.ReplaceAllStringFunc(v, func(m string) string {
			return fmt.Sprint(f.kept["$"+m[2:len(m)-1]])
		})
	}
	return v
}

func (f *filler) placeholder(key, placeholder, epoch string, seq any) any {
	switch placeholder {
	case "$any", "$token":
		return strings.TrimPrefix(placeholder, "$")
	case "$epoch":
		return "k3f9"
	case "$position":
		return position(epoch, seq)
	case "$time":
		return "2026-11-23T10:00:00.000000Z"
	case "$uuid":
		return f.uuid()
	}
	v, ok := f.kept[placeholder]
	if !ok {
		v = f.make(key, placeholder, epoch, seq)
		f.kept[placeholder] = v
	}
	return v
}

func (f *filler) make(key, placeholder, epoch string, seq any) any {
	switch key {
	case "id":
		f.ids++
		return f.ids
	case "tag":
		return f.uuid()
	case "position":
		return position(epoch, seq)
	}
	return placeholder[1:]
}

func (f *filler) uuid() string {
	f.tags++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", f.tags)
}

func position(epoch string, seq any) string {
	n, _ := seq.(float64)
	if n == 0 {
		return epoch + ":0"
	}
	return fmt.Sprintf("%s:%d:%08x", epoch, int64(n), int64(n)+1)
}
