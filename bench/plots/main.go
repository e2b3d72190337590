// Command plots draws the curves of docs/performance/*.json, as `roomlog bench --curve … --json` gives them, as SVG
// beside them: `go run ./bench/plots docs/performance`. The same JSON gives the same bytes.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"roomlog/bench"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: plots FOLDER")
		os.Exit(2)
	}
	if err := draw(os.Args[1], func(name string, svg []byte) error {
		return os.WriteFile(filepath.Join(os.Args[1], name), svg, 0o644)
	}); err != nil {
		fmt.Fprintln(os.Stderr, "plots:", err)
		os.Exit(1)
	}
}

// draw gives each chart of the rows in the JSON files of a folder to keep.
func draw(folder string, keep func(name string, svg []byte) error) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return err
	}
	var rows []bench.Row
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var r bench.Report
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		rows = append(rows, r.Rows...)
	}
	for _, c := range charts {
		svg, err := c.svg(rows)
		if err != nil {
			return fmt.Errorf("%s: %w", c.file, err)
		}
		if err := keep(c.file, svg); err != nil {
			return err
		}
	}
	return nil
}
