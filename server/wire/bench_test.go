package wire

import (
	"fmt"
	"testing"

	"roomlog/server/room"
)

// BenchmarkEncode makes a page of events of ordinary size, 100 bytes of data each: one operation is one page.
func BenchmarkEncode(b *testing.B) {
	e := event
	e.Author, e.Data = "user-17", fmt.Appendf(nil, `{"text":"%087d"}`, 1)
	for _, f := range []Framing{WebSocket, EventStream} {
		for _, events := range []int{1, 32} {
			b.Run(fmt.Sprintf("framing=%d/events=%d", f, events), func(b *testing.B) {
				var page, encoded []byte
				b.ReportAllocs()
				for b.Loop() {
					encoded = encoded[:0]
					for i := range events {
						if i > 0 {
							encoded = append(encoded, ',')
						}
						encoded = AppendEvent(encoded, "chat:a", &e)
					}
					p := Page{Room: "chat:a", Epoch: "k3f9", Prev: e.Seq - room.Seq(events), Seq: e.Seq, Mark: e.Mark}
					page = f.AppendPage(page[:0], p, encoded)
				}
				b.SetBytes(int64(len(page)))
			})
		}
	}
}
