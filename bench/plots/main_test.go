package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"roomlog/bench"
)

const folder = "../../docs/performance"

// TestDrawnFromTheFigures: the pictures in the documents are those of the figures beside them.
func TestDrawnFromTheFigures(t *testing.T) {
	drawn := 0
	err := draw(folder, func(name string, svg []byte) error {
		drawn++
		there, err := os.ReadFile(filepath.Join(folder, name))
		if err == nil && !bytes.Equal(svg, there) {
			t.Errorf("%s is not what the figures give: run `make plots`", name)
		}
		return err
	})
	if err != nil || drawn != len(charts) {
		t.Errorf("%d of %d charts, %v", drawn, len(charts), err)
	}
}

// TestChart draws a line through known points, and finds them where the axes put them.
func TestChart(t *testing.T) {
	row := func(at int, value float64) bench.Row {
		return bench.Row{Name: "rooms", Target: "roomlog on sqlite", At: at, Figures: []bench.Figure{{Name: "f", Values: []float64{value, value, 1e9}}}}
	}
	c := chart{"x.svg", "A & B", []panel{{curve: "rooms", title: "t", x: "x", lines: []line{{"f", "<p>"}}}}}
	svg, err := c.svg([]bench.Row{row(100, 40), row(1, 20), row(10, 0)})
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
	// 1 to 100 over 52 to 366, 0 to 40 over 210 to 62: by hand.
	if want := []byte(`d="M52 136L209 210L366 62"`); !bytes.Contains(svg, want) {
		t.Errorf("no line %s in\n%s", want, svg)
	}
	if _, err := c.svg(nil); err == nil {
		t.Error("a chart without points is no error")
	}
}

// TestAxis: an axis of powers ends at 1, 2 or 5 of one, and names those between where decades alone would be few.
func TestAxis(t *testing.T) {
	for _, c := range []struct{ values, ticks []float64 }{
		{[]float64{1000, 19000}, []float64{1000, 2000, 5000, 10000, 20000}},
		{[]float64{1, 1e5}, []float64{1, 10, 100, 1e3, 1e4, 1e5}},
		{[]float64{64, 61440}, []float64{100, 1e3, 1e4, 1e5}},
		{[]float64{0.3, 3}, []float64{0.2, 0.5, 1, 2, 5}},
		{[]float64{10}, []float64{10, 20, 50, 100}},
	} {
		a := axis{log: true}
		for _, v := range c.values {
			a.take(v)
		}
		a.round()
		got := a.ticks()
		if len(got) != len(c.ticks) {
			t.Errorf("%v: ticks at %v, not %v", c.values, got, c.ticks)
			continue
		}
		for i, v := range got {
			if math.Abs(v/c.ticks[i]-1) > 1e-6 {
				t.Errorf("%v: ticks at %v, not %v", c.values, got, c.ticks)
			}
		}
	}
}
