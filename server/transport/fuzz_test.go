package transport

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// collector keeps what a frameReader finds.
type collector struct {
	texts    []string
	controls int
}

func (c *collector) message(text []byte) error {
	c.texts = append(c.texts, string(text))
	return nil
}

func (c *collector) control(op ws.OpCode, payload []byte) error {
	c.controls++
	if op == ws.OpClose {
		code, err := checkClose(payload)
		if err == nil {
			err = peerClosed(code)
		}
		return err
	}
	return nil
}

// Whatever a peer sends, however it is split: the same messages, all UTF-8 and within the limit, the
// same end, and no more held than was sent.
func FuzzFrames(f *testing.F) {
	f.Add(frame(0x81, []byte(`{"op":"ping"}`)), uint8(1))
	f.Add(append(frame(0x01, []byte("\xc3")), frame(0x80, []byte("\xa9"))...), uint8(3))
	f.Add([]byte{0x81, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255}, uint8(2))
	f.Add(frame(0x88, []byte{3, 232}), uint8(9))
	f.Fuzz(func(t *testing.T, sent []byte, step uint8) {
		const most = 1 << 10
		whole, pieces := collector{}, collector{}
		a := frameReader{max: most}
		errWhole := a.feed(bytes.Clone(sent), &whole)
		b := frameReader{max: most}
		var errPieces error
		for rest := sent; len(rest) > 0 && errPieces == nil; {
			n := min(int(step)+1, len(rest))
			errPieces = b.feed(bytes.Clone(rest[:n]), &pieces)
			rest = rest[n:]
			if len(b.msg) > most || len(b.rest) > most+14+int(step)+1 {
				t.Fatalf("holds %d and %d bytes", len(b.msg), len(b.rest))
			}
		}
		if errWhole != nil && errPieces != nil {
			if errWhole.Error() != errPieces.Error() {
				t.Fatalf("ended by %v, in pieces by %v", errWhole, errPieces)
			}
		} else if errWhole != errPieces {
			t.Fatalf("ended by %v, in pieces by %v", errWhole, errPieces)
		}
		if len(whole.texts) != len(pieces.texts) || whole.controls != pieces.controls {
			t.Fatalf("%d messages, in pieces %d", len(whole.texts), len(pieces.texts))
		}
		for i, text := range whole.texts {
			if text != pieces.texts[i] || !utf8.ValidString(text) || len(text) > most {
				t.Fatalf("message %d: %q, in pieces %q", i, text, pieces.texts[i])
			}
		}
	})
}
