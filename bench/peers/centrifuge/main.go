// Command centrifuge is a server on github.com/centrifugal/centrifuge: everybody may subscribe and publish to
// any channel. With --history, as it is by default, a channel keeps its newest publications in memory and a
// subscription recovers from (offset, epoch); without, it only passes on.
//
// The protocol is the library's own, JSON over WebSocket, at /connection/websocket.
package main

import (
	"context"
	"flag"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"

	"roomlog/bench/peers/internal/loopback"
)

var (
	history = flag.Bool("history", true, "keep publications, and let subscriptions recover")
	size    = flag.Int("history-size", 1000, "publications that a channel keeps")
	ttl     = flag.Duration("history-ttl", 10*time.Minute, "how long it keeps them")
	delay   = flag.Duration("write-delay", 0, "how long a connection's messages are gathered before a write")
)

func main() {
	ctx, listener := loopback.Listen()
	node, err := newNode()
	if err != nil {
		loopback.Fail(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		// 4 KiB each by default, held by every connection for good.
		ReadBufferSize:     512,
		UseWriteBufferPool: true,
		// As a stalled write is judged elsewhere: nobody is cut off for what the load's own pauses cost.
		WriteTimeout:   30 * time.Second,
		PingPongConfig: centrifuge.PingPongConfig{PingInterval: 10 * time.Second, PongTimeout: 8 * time.Second},
	}))
	loopback.Serve(ctx, listener, mux)
	if err := node.Shutdown(context.Background()); err != nil {
		loopback.Fail(err)
	}
}

func newNode() (*centrifuge.Node, error) {
	node, err := centrifuge.New(centrifuge.Config{
		// 1 MiB by default, which cuts off every reader of a saturated room.
		ClientQueueMaxSize: 256 << 20,
	})
	if err != nil {
		return nil, err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials: &centrifuge.Credentials{UserID: "bench"},
			WriteDelay:  *delay,
		}, nil
	})
	publish := centrifuge.PublishReply{}
	subscribe := centrifuge.SubscribeReply{}
	if *history {
		publish.Options = centrifuge.PublishOptions{HistorySize: *size, HistoryTTL: *ttl}
		subscribe.Options = centrifuge.SubscribeOptions{EnableRecovery: true}
	}
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(_ centrifuge.SubscribeEvent, done centrifuge.SubscribeCallback) { done(subscribe, nil) })
		c.OnPublish(func(_ centrifuge.PublishEvent, done centrifuge.PublishCallback) { done(publish, nil) })
	})
	return node, node.Run()
}
