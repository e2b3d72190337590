//go:build linux

package makecluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// signal types and changes what it shows of itself by a stream on node a, through the load balancer, which leads to every node by turns:
// none of it is refused, and who reads on another node sees it (SESS-9, PRES-15, SIG-1).
func signal(t *testing.T, c *cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	room := "chat:" + uuid.NewString()
	streamed := c.follow(ctx, "a", room, "presence,signals")
	reader := c.dial(ctx, "c", "jonas")
	reader.say(map[string]any{"op": "join", "id": 1, "room": room, "with": []string{"presence", "signals"}})
	reader.until("joined")
	shows := func(op, data string) {
		t.Helper()
		for {
			for _, one := range reader.until(op).Set {
				if one.User == "stream" && string(one.Data) == data {
					return
				}
			}
		}
	}
	asked := map[string]int{} // by node
	for n := range attempts {
		data := fmt.Sprintf(`{"n":%d}`, n)
		asked[streamed.command(ctx, c.open, fmt.Sprintf(`{"op":"presence","id":1,"room":%q,"data":%s}`, room, data))]++
		shows("presence", data)
		asked[streamed.command(ctx, c.open, fmt.Sprintf(`{"op":"signal","id":1,"room":%q,"type":"typing","data":%d}`, room, n))]++
		shows("signals", fmt.Sprint(n))
	}
	for _, node := range []string{"a", "b", "c"} {
		if asked[node] == 0 {
			t.Errorf("node %s was never asked: %v", node, asked)
		}
	}
}

// command gives the stream a command, which has to be done, and says by which node it was taken.
func (s *stream) command(ctx context.Context, open, body string) (node string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, open+"/v1/connections/"+s.ready.Connection, strings.NewReader(body))
	must(s.t, err)
	req.Header.Set("Authorization", "Bearer "+s.ready.Secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	must(s.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(s.t, err)
	if node = resp.Header.Get("Roomlog-Node"); resp.StatusCode != http.StatusOK || string(text) != `{"op":"done","id":1}` {
		s.t.Fatalf("node %s answers %s: %s %s", node, body, resp.Status, text)
	}
	return node
}
