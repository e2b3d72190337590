package main

// charts are what is drawn of which curves.
var charts = []chart{
	{"history.svg", "Sends to a room by its history", []panel{
		{curve: "history", title: "acked sends per second", x: "events in the room", lines: []line{{"acked sends per second", ""}}},
		{curve: "history", title: "latency of a send, ms", x: "events in the room", lines: []line{{"p50", "p50"}, {"p99", "p99"}}},
	}},
	{"joins.svg", "Joins by history", []panel{
		{curve: "history", title: "join: latest page, 100 behind, ms (p50 of 200)", x: "events in the room",
			lines: []line{{"join, latest page, p50", "latest"}, {"join, 100 behind, p50", "100 behind"}}},
		{curve: "history", title: "first join after a start, page anywhere, ms", x: "events in the room",
			lines: []line{{"first join after a start", "first"}, {"page of 100 somewhere, p50", "anywhere"}}},
	}},
	{"rooms.svg", "Sends by the number of rooms", []panel{
		{curve: "rooms", title: "acked sends per second", x: "rooms", lines: []line{{"acked sends per second", ""}}},
		{curve: "rooms", title: "latency of a send, ms", x: "rooms", lines: []line{{"p50", "p50"}, {"p99", "p99"}}},
		{curve: "rooms", title: "server memory, MiB", x: "rooms", lines: []line{{"server memory", ""}}},
	}},
	{"body.svg", "Sends by size, 1,000 rooms", []panel{
		{curve: "body", title: "acked sends per second", x: "bytes of data", logY: true, lines: []line{{"acked sends per second", ""}}},
		{curve: "body", title: "acked data, MB/s", x: "bytes of data", logY: true, lines: []line{{"acked data", ""}}},
		{curve: "body", title: "latency of a send, ms", x: "bytes of data", logY: true, lines: []line{{"p50", "p50"}, {"p99", "p99"}}},
	}},
	{"connections.svg", "Idle connections over 1,000 rooms", []panel{
		{curve: "connections", title: "server memory each, KiB", x: "connections", lines: []line{{"memory per connection", ""}}},
		{curve: "connections", title: "CPU of connect and join, µs", x: "connections", lines: []line{{"connect and join, server CPU", ""}}},
	}},
	{"rate.svg", "Deliveries to 1,000 readers of one room", []panel{
		{curve: "rate", title: "from send to reader, ms", x: "sends per second, asked", logY: true, lines: []line{{"delivery, p50", "p50"}, {"delivery, p99", "p99"}}},
		{curve: "rate", title: "deliveries per server CPU-second", x: "sends per second, asked", logY: true, lines: []line{{"deliveries per server CPU-second", ""}}},
		{curve: "rate", title: "sends per second, reached", x: "sends per second, asked", logY: true, lines: []line{{"sends per second", ""}}},
	}},
}

// chart is one file: panels beside each other.
type chart struct {
	file, title string
	panels      []panel
}

// panel shows figures of a curve, each for every target that has it. Its x axis is logarithmic.
type panel struct {
	curve, title, x string
	logY            bool
	lines           []line
}

// line is a figure, and what it is called beside its target; empty where it is the only one.
type line struct{ figure, label string }
