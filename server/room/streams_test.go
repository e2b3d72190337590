package room

import "testing"

// PART-1: the data of a message that streams is what was sent, and says so at its end.
func TestBeginText(t *testing.T) {
	for _, c := range []struct{ data, want, field string }{
		{`{}`, `{"streaming":true}`, ""},
		{`{"text":"","model":"m 1","n":1.50}`, `{"text":"","model":"m 1","n":1.50,"streaming":true}`, ""},
		{`{"Text":1}`, `{"Text":1,"streaming":true}`, ""},
		{`{"text":1}`, "", "data/text"},
		{`{"text":null}`, "", "data/text"},
		{`{"streaming":false}`, "", "data/streaming"},
		{`[]`, "", "data"},
		{`"text"`, "", "data"},
		{`null`, "", "data"},
	} {
		got, err := BeginText([]byte(c.data))
		if string(got) != c.want || (err != nil) != (c.want == "") || err != nil && AsError(err).Field != c.field {
			t.Errorf("%s: %s, %v", c.data, got, err)
		}
	}
}

// PART-5, PART-6: what a message ends with has the whole text and the rest as it was, in its order.
func TestEndText(t *testing.T) {
	for _, c := range []struct {
		data, final, parts string
		aborted            bool
		want               string
	}{
		{data: `{"text":"","a":1.50,"streaming":true}`, parts: `one "two"`, want: `{"text":"one \"two\"","a":1.50}`},
		{data: `{"streaming":true}`, parts: "<b>", want: `{"text":"<b>"}`},
		{data: `{"z":[1, 2],"text":"Hi","streaming":true,"a":{}}`, parts: "!", aborted: true, want: `{"z":[1, 2],"text":"Hi!","a":{},"aborted":true}`},
		{data: `{"text":"","streaming":true}`, final: `{"b":2,"streaming":true}`, parts: "t", want: `{"b":2,"text":"t"}`},
		{data: `{"text":"","streaming":true}`, final: `{"text":"own","b":2}`, parts: "t", want: `{"text":"own","b":2}`},
		{data: `{"text":"","streaming":true}`, final: `{"text":null}`, parts: "t", want: `{"text":null}`},
		{data: `{"text":"","streaming":true}`, final: `[]`, parts: "t"},
		{data: `null`, parts: "t"},
	} {
		var final []byte
		if c.final != "" {
			final = []byte(c.final)
		}
		got, err := EndText([]byte(c.data), final, c.parts, c.aborted)
		if string(got) != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s with %s: %s, %v", c.data, c.final, got, err)
		}
	}
}

func TestTagEnd(t *testing.T) {
	tag, err := ParseTag("00000000-0000-4000-8000-000000000001")
	if err != nil {
		t.Fatal(err)
	}
	end := tag.End()
	if _, err := ParseTag(end.String()); err != nil || end == tag || end != tag.End() || end == end.End() {
		t.Errorf("the end of %s is %s: %v", tag, end, err)
	}
}

func TestTextSize(t *testing.T) {
	for text, want := range map[string]int{"": 0, "a<ü": 4, "\"\n": 4} {
		if got := TextSize(text); got != want {
			t.Errorf("%q takes %d bytes, want %d", text, got, want)
		}
	}
}
