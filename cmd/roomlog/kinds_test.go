package main

import (
	"reflect"
	"testing"
	"time"

	"roomlog/server/app"
)

// The example of the documentation is a file that a server takes, and means what its comments say.
func TestKindsExample(t *testing.T) {
	values, err := readConfig("../../docs/kinds.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := readKinds(values["kinds"])
	if err != nil || len(values) != 1 {
		t.Fatalf("%d keys, %v", len(values), err)
	}
	const day = 24 * time.Hour
	want := app.Kinds{
		"chat":    {Retention: app.RetentionConfig{Age: 365 * day, Events: 1_000_000}, RoomsPerUser: 100, Changes: app.ChangesConfig{Within: day}, Receipts: "counts"},
		"sensors": {State: app.StateConfig{History: "none", Tags: 2 * time.Hour, Keys: 5000}},
		"feed":    {Retention: app.RetentionConfig{Age: 30 * day}},
		"board":   {},
	}
	if !reflect.DeepEqual(kinds, want) {
		t.Errorf("the example is %+v, not %+v", kinds, want)
	}
}
