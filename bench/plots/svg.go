package main

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"

	"roomlog/bench"
)

const (
	panelWidth  = 380
	panelHeight = 250
	left        = 52 // of a panel's axes
	right       = 14
	top         = 62
	bottom      = 40
	heading     = 34 // of the file
)

// style has the colours of light and dark pages; an image has no other way to know them.
const style = `<style>
svg{--text:#1f2328;--soft:#59636e;--grid:#d1d9e0;--a:#0969da;--b:#bc4c00;--c:#1a7f37;font:12px system-ui,sans-serif}
@media(prefers-color-scheme:dark){svg{--text:#f0f6fc;--soft:#9198a1;--grid:#3d444d;--a:#4493f8;--b:#f0883e;--c:#3fb950}}
text{fill:var(--text)}.soft{fill:var(--soft)}.title{font-size:15px;font-weight:600}.panel{font-weight:600}
.grid{stroke:var(--grid);stroke-width:1}.line{fill:none;stroke-width:2;stroke-linejoin:round}
.a{stroke:var(--a)}.b{stroke:var(--b)}.c{stroke:var(--c)}.dot{stroke-width:1}.dot.a{fill:var(--a)}.dot.b{fill:var(--b)}.dot.c{fill:var(--c)}
</style>`

// series is one line of a panel.
type series struct {
	label  string
	class  string // its target's colour
	dashed bool
	points []point
}

type point struct{ x, y float64 }

// svg draws the chart. A curve that has no points is an error.
func (c chart) svg(rows []bench.Row) ([]byte, error) {
	width, height := len(c.panels)*panelWidth, heading+panelHeight
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n%s\n",
		width, height, width, height, html.EscapeString(c.title), style)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="22">%s</text>`+"\n", left, html.EscapeString(c.title))
	for i, p := range c.panels {
		all := p.series(rows)
		if len(all) == 0 {
			return nil, errors.New("no points of the curve " + p.curve)
		}
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", i*panelWidth, heading)
		p.draw(&b, all)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes(), nil
}

// series are the lines of the panel: a colour for each target, a dash for the second figure.
func (p panel) series(rows []bench.Row) (all []series) {
	var targets []string
	for _, r := range rows {
		if r.Name == p.curve && !slices.Contains(targets, r.Target) {
			targets = append(targets, r.Target)
		}
	}
	for t, target := range targets {
		for l, line := range p.lines {
			s := series{label: strings.TrimSpace(nice(target) + " " + line.label), class: string("abc"[t%3]), dashed: l > 0}
			for _, r := range rows {
				if r.Name != p.curve || r.Target != target {
					continue
				}
				if i := slices.IndexFunc(r.Figures, func(f bench.Figure) bool { return f.Name == line.figure }); i >= 0 {
					s.points = append(s.points, point{float64(r.At), r.Figures[i].Median()})
				}
			}
			if len(s.points) > 0 {
				slices.SortFunc(s.points, func(a, b point) int { return int(math.Copysign(1, a.x-b.x)) })
				all = append(all, s)
			}
		}
	}
	return all
}

func nice(target string) string {
	return strings.NewReplacer("roomlog on sqlite", "SQLite", "roomlog on postgres", "PostgreSQL").Replace(target)
}

// draw draws the panel with its axes.
func (p panel) draw(b *bytes.Buffer, all []series) {
	x, y := axis{log: true, from: left, to: panelWidth - right}, axis{log: p.logY, from: panelHeight - bottom, to: top}
	for _, s := range all {
		for _, q := range s.points {
			x.take(q.x)
			y.take(q.y)
		}
	}
	x.round()
	y.round()
	fmt.Fprintf(b, `<text class="panel" x="%d" y="16">%s</text>`+"\n", left, html.EscapeString(p.title))
	for _, v := range y.ticks() {
		fmt.Fprintf(b, `<line class="grid" x1="%d" x2="%d" y1="%s" y2="%s"/><text class="soft" x="%d" y="%s" text-anchor="end">%s</text>`+"\n",
			left, panelWidth-right, num(y.at(v)), num(y.at(v)), left-6, num(y.at(v)+4), short(v))
	}
	for _, v := range x.ticks() {
		fmt.Fprintf(b, `<text class="soft" x="%s" y="%d" text-anchor="middle">%s</text>`+"\n", num(x.at(v)), panelHeight-bottom+17, short(v))
	}
	fmt.Fprintf(b, `<text class="soft" x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+panelWidth-right)/2, panelHeight-6, html.EscapeString(p.x))
	for i, s := range all {
		p.legend(b, i, s)
		var path strings.Builder
		for j, q := range s.points {
			fmt.Fprintf(&path, "%c%s %s", "ML"[min(j, 1)], num(x.at(q.x)), num(y.at(q.y)))
		}
		fmt.Fprintf(b, `<path class="line %s"%s d="%s"/>`+"\n", s.class, s.dash(), path.String())
		for _, q := range s.points {
			fmt.Fprintf(b, `<circle class="dot %s" cx="%s" cy="%s" r="2.5"><title>%s: %s at %s</title></circle>`+"\n",
				s.class, num(x.at(q.x)), num(y.at(q.y)), html.EscapeString(s.label), short(q.y), short(q.x))
		}
	}
}

// legend names a series above the axes, two to a line.
func (p panel) legend(b *bytes.Buffer, i int, s series) {
	x, y := left+i%2*160, 32+i/2*15
	fmt.Fprintf(b, `<line class="line %s"%s x1="%d" x2="%d" y1="%d" y2="%d"/><text class="soft" x="%d" y="%d">%s</text>`+"\n",
		s.class, s.dash(), x, x+18, y-4, y-4, x+23, y, html.EscapeString(s.label))
}

func (s series) dash() string {
	if s.dashed {
		return ` stroke-dasharray="5 4"`
	}
	return ""
}

// axis maps values to pixels. A linear one begins at 0.
type axis struct {
	log        bool
	from, to   float64 // pixels
	least, top float64
}

func (a *axis) take(v float64) {
	if a.least == 0 || v < a.least {
		a.least = v
	}
	a.top = max(a.top, v)
}

// round has the axis end at round values.
func (a *axis) round() {
	if a.log {
		a.least, a.top = below(a.least), above(a.top)
		if a.least == a.top {
			a.top *= 10
		}
		return
	}
	a.least = 0
	step := a.step()
	a.top = math.Ceil(a.top/step) * step
}

// below is the largest of 1, 2 and 5 times a power of ten that v is not below.
func below(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	for _, n := range []float64{5, 2} {
		if v >= n*power*(1-1e-9) {
			return n * power
		}
	}
	return power
}

// above is the smallest of them that v is not above.
func above(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	for _, n := range []float64{1, 2, 5} {
		if v <= n*power*(1+1e-9) {
			return n * power
		}
	}
	return 10 * power
}

// step is between two ticks of a linear axis: 1, 2 or 5 of some power of ten, for four to eight of them.
func (a *axis) step() float64 {
	power := math.Pow(10, math.Floor(math.Log10(a.top/4)))
	for _, n := range []float64{5, 2} {
		if a.top/(n*power) >= 3 {
			return n * power
		}
	}
	return power
}

func (a *axis) ticks() (list []float64) {
	if a.log {
		few := a.top/a.least <= 200 // decades alone would say too little
		for power := math.Pow(10, math.Floor(math.Log10(a.least)+1e-9)); power <= a.top*1.01; power *= 10 {
			for _, n := range []float64{1, 2, 5} {
				if v := n * power; (n == 1 || few) && v >= a.least*0.99 && v <= a.top*1.01 {
					list = append(list, v)
				}
			}
		}
		return list
	}
	for i := 0.0; i*a.step() <= a.top*1.001; i++ {
		list = append(list, i*a.step())
	}
	return list
}

func (a *axis) at(v float64) float64 {
	part := (v - a.least) / (a.top - a.least)
	if a.log {
		part = math.Log(v/a.least) / math.Log(a.top/a.least)
	}
	return a.from + part*(a.to-a.from)
}

// num is a number of pixels.
func num(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// short is a value for people: 1.5k, 20M.
func short(v float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e6, "M"}, {1e3, "k"}} {
		if v >= u.of {
			return strconv.FormatFloat(v/u.of, 'g', 3, 64) + u.name
		}
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
