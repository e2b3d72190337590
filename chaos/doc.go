// Package chaos is a TCP proxy that breaks connections on purpose: the tunnel a train drives into,
// the Wi-Fi that stays "connected" and carries nothing, the server that dies in the middle of a
// frame.
//
// [Listen] starts a [Proxy] in front of an address. Without a fault it is transparent: bytes, their
// order, half-closes and resets pass through. [Proxy.Set], [Proxy.Heal] and [Proxy.Cut] switch faults
// while it runs, from Go; [Proxy.Handler] does so over HTTP; a [Script] does so by schedule, and the
// same seed gives the same schedule. [Run] is all of it as a command.
//
// [ListenBroker] starts one in front of Redis or NATS, which can lose, repeat and delay whole messages as well.
//
// An idle proxy is one listener and one goroutine; a connection through it costs two goroutines and
// two buffers of 16 KiB. [Proxy.Close] returns when all of them are gone.
package chaos
