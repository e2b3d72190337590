package main

import (
	"math"
	"math/rand/v2"
	"time"
)

// stationSeries are the series of a point of the demo feed.
var stationSeries = []string{"battery_percent", "frequency_hz", "load_kw", "price_ct", "solar_kw", "wind_kw"}

// station is a village with panels, wind wheels and a battery. Its hours are minutes, so that there is something to see, and what it measures
// hangs together: what sun and wind give beyond the load goes into the battery, and what is lacking makes power dear.
type station struct {
	last    time.Time
	phase   float64 // of the day, where it began
	began   time.Time
	clouds  drift
	gusts   drift
	kettles drift
	hum     drift
	battery float64 // percent
}

// stationDay is how long a day of the station takes.
const stationDay = 4 * time.Minute

func newStation(now time.Time) *station {
	return &station{last: now, began: now, phase: rand.Float64(), battery: 55}
}

// at moves the station on and gives what it measures.
func (s *station) at(now time.Time) map[string]float64 {
	seconds := min(max(now.Sub(s.last).Seconds(), 0), 5)
	s.last = now
	day := 2 * math.Pi * (s.phase + now.Sub(s.began).Seconds()/stationDay.Seconds())
	clouds, gusts := s.clouds.on(seconds, 8), s.gusts.on(seconds, 5)
	kettles, hum := s.kettles.on(seconds, 4), s.hum.on(seconds, 2)

	solar := max(0, math.Sin(day)) * 42 * (1 - 0.25*min(max(clouds, 0), 1.5))
	wind := max(0, 18+6*math.Sin(0.37*day+1)+7*gusts)
	load := max(5, 34+9*math.Sin(day-1.9)+4*math.Sin(2*day+0.6)+2.5*kettles)
	spare := solar + wind - load
	s.battery = min(max(s.battery+spare*seconds/25+(50-s.battery)*seconds/240, 2), 100)
	return map[string]float64{
		"solar_kw": hundredth(solar), "wind_kw": hundredth(wind), "load_kw": hundredth(load),
		"battery_percent": hundredth(s.battery),
		"frequency_hz":    math.Round(1000*(50+spare/400+0.02*hum)) / 1000,
		"price_ct":        hundredth(max(1, 24-spare/4-(s.battery-50)/10)),
	}
}

// drift is noise without edges, of a variance of about 1: it runs after noise that jumps.
type drift struct{ ahead, value float64 }

// on moves it on by so many seconds; it forgets where it was after about memory seconds.
func (d *drift) on(seconds, memory float64) float64 {
	keep := math.Exp(-seconds / memory)
	d.ahead = d.ahead*keep + rand.NormFloat64()*math.Sqrt(1-keep*keep)
	d.value += (d.ahead - d.value) * (1 - math.Exp(-3*seconds/memory))
	return d.value
}

func hundredth(v float64) float64 { return math.Round(v*100) / 100 }
