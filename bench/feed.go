package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// feedBatch is how many points a request of the producer has.
const feedBatch = 10

// feed: one producer posts batches of points over HTTP, the next as soon as one is answered, and all streams follow.
func feed(ctx context.Context, t *trial) ([]measured, error) {
	s, ok := t.server.(*roomlog)
	if !ok {
		return nil, errors.New("this target takes no batches")
	}
	token, err := s.token(ctx, senderUser(0))
	if err != nil {
		return nil, err
	}
	p := &producer{addr: s.addr, token: token}
	return t.fan(ctx, crowd{
		rooms: 1, readers: t.Streams, piece: 16 << 10, enter: t.enterStreams(s), senders: 1,
		put: func(ctx context.Context, _ []*sender, l load) ([]ack, error) { return p.work(ctx, l) },
	})
}

// producer posts batches, one after the other.
type producer struct {
	addr, token string
	body        []byte
	count       int64
}

// work posts until the time of the load is over. It checks that each event of a batch was stored.
func (p *producer) work(ctx context.Context, l load) (acks []ack, err error) {
	for stop := time.Now().Add(l.d); ctx.Err() == nil && time.Now().Before(stop); {
		room, started := l.room(0, 0), time.Now()
		seqs, err := p.post(ctx, room)
		if err != nil {
			return acks, fmt.Errorf("the producer: %w", err)
		}
		now := time.Now()
		for _, seq := range seqs {
			acks = append(acks, ack{room: room, seq: seq, took: now.Sub(started), at: now})
		}
	}
	return acks, ctx.Err()
}

func (p *producer) post(ctx context.Context, room string) ([]int64, error) {
	b := append(p.body[:0], `{"events":[`...)
	for i := range feedBatch {
		if i > 0 {
			b = append(b, ',')
		}
		p.count++
		b = append(append(b, `{"tag":"`...), newTag()...)
		b = appendBody(append(b, `","type":"point","data":`...), 0, p.count, bodyBytes)
		b = append(b, '}')
	}
	p.body = append(b, `]}`...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.addr+"/v1/rooms/"+room+"/events", bytes.NewReader(p.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	var answer struct{ Results []struct{ Seq int64 } }
	if err := json.Unmarshal(text, &answer); err != nil || len(answer.Results) != feedBatch {
		return nil, fmt.Errorf("status %d with %d results: %.200s", resp.StatusCode, len(answer.Results), text)
	}
	seqs := make([]int64, feedBatch)
	for i, r := range answer.Results {
		if seqs[i] = r.Seq; r.Seq == 0 {
			return nil, fmt.Errorf("refused: %.200s", text)
		}
	}
	return seqs, nil
}
