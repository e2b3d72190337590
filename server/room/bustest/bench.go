package bustest

import (
	"context"
	"fmt"
	"testing"

	"roomlog/server/room"
)

// counter is a receiver that counts what comes, and hands out tokens for it.
type counter struct {
	got chan struct{}
	up  chan struct{}
	in  chan room.Topic
}

func (c *counter) Received(room.Topic, []byte) { c.got <- struct{}{} }
func (c *counter) Subscribed(topic room.Topic) { c.in <- topic }
func (c *counter) Up()                         { c.up <- struct{}{} }
func (c *counter) Down(error)                  {}
func (c *counter) Missed(int)                  {}

// Benchmark measures a message of 300 bytes from Publish at one node to Received at another: one at a time
// (the latency), and 512 under way over 100 topics (the rate).
func Benchmark(b *testing.B, make func(t testing.TB) Factory) {
	for _, window := range []int{1, 512} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) { benchmark(b, make(b), window) })
	}
}

func benchmark(b *testing.B, f Factory, window int) {
	const topics = 100
	from, to := f.Open(b, "main", room.BusOptions{}), f.Open(b, "main", room.BusOptions{})
	sender := &counter{up: make(chan struct{}, 1)}
	reader := &counter{got: make(chan struct{}, window), up: make(chan struct{}, 1), in: make(chan room.Topic, topics)}
	from.Start(sender)
	to.Start(reader)
	<-sender.up
	<-reader.up
	names := make([]room.Topic, topics)
	for n := range names {
		names[n] = room.Topic(fmt.Sprintf("room:chat:%d", n))
		to.Subscribe(names[n])
	}
	for range names {
		<-reader.in
	}
	message := make([]byte, 300)
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		if n >= window {
			<-reader.got
		}
		if err := from.Publish(names[n%topics], message); err != nil {
			b.Fatal(err)
		}
	}
	for range min(window, b.N) {
		<-reader.got
	}
	b.StopTimer()
	for _, bus := range []room.Bus{from, to} {
		if err := bus.Close(context.Background()); err != nil {
			b.Error(err)
		}
	}
}
