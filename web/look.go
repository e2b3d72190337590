package web

import (
	_ "embed"
	"io/fs"
	"strings"
)

//go:embed src/styles/tokens.css
var tokens string

//go:embed src/styles/base.css
var base string

//go:embed src/styles/top.css
var top string

//go:embed src/styles/errors.css
var errorSheet string

// FirstScript runs before the first paint of a page: a theme that was chosen on one page holds on all of this origin.
//
//go:embed src/theme/first.js
var FirstScript string

// Icon is the icon of all pages, an SVG.
//
//go:embed src/theme/favicon.svg
var Icon string

// Style is the style sheet of a page that the server makes itself, in the words of the pages that are built. With pages,
// their font is used, which lies beside them; without, the device's.
func Style(pages bool) string {
	sheet := tokens + base + top + errorSheet
	if !pages {
		return sheet
	}
	fonts, err := fs.Glob(dist, "dist/assets/figtree-*.woff2")
	if err != nil || len(fonts) == 0 {
		return sheet // not built yet
	}
	return `@font-face{font-family:"Figtree";src:url("` + strings.TrimPrefix(fonts[0], "dist") +
		`") format("woff2");font-weight:300 900;font-display:optional}` + "\n" + sheet
}
