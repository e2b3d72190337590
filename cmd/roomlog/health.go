package main

import (
	"context"
	"fmt"
	"net/http"
)

// healthCommand asks a server how it is, for what starts and watches it: an image that has nothing but roomlog in it has
// no curl.
type healthCommand struct {
	URL   string `name:"url" default:"http://127.0.0.1:8080" env:"ROOMLOG_URL" help:"The server."`
	Ready bool   `help:"Ask whether requests should be sent there (/readyz), which needs a store that answers; without this, whether the process is alive (/healthz)."`
}

// Run prints what the server says of itself: ok or ready. Whoever is refused, or not answered in time, has failed.
func (h *healthCommand) Run(c *console) error {
	server, err := newRemote(h.URL)
	if err != nil {
		return err
	}
	path := "/healthz"
	if h.Ready {
		path = "/readyz"
	}
	var said struct {
		Status string `json:"status"`
	}
	if _, err := server.call(context.Background(), 0, http.MethodGet, path, nil, &said); err != nil {
		return err
	}
	if said.Status == "" {
		return fmt.Errorf("%s answers, but not as a Roomlog server", h.URL)
	}
	_, err = fmt.Fprintln(c.out, said.Status)
	return err
}
