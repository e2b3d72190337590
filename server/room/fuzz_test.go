package room

import "testing"

// POS-1: a text is a position in one way only, and is written as it was read.
func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"0", "412", "k3f9:0", "k3f9:412:6f1c0a2b", "-1", "01", "9007199254740992", "k:1:00000000", "k:0:6f1c0a2b", "k\x00:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePosition(s)
		if err != nil {
			if AsError(err).Code != CodeBadPosition {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if p.String() != s || p.Seq < 0 || p.Seq > MaxSeq || p.Mark != 0 && (p.Seq == 0 || p.Epoch == "") {
			t.Fatalf("%q is read as %+v and written as %q", s, p, p)
		}
	})
}
