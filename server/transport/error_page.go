package transport

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

// Look is how the pages that this package makes look: they hold all of it themselves.
type Look struct {
	Style  string // a style sheet
	Script string // runs before the first paint
	Icon   string // an SVG
}

// errorPage is GET /errors: what each code means and what to do about it, for people.
type errorPage struct {
	body   []byte
	policy string
}

// errorEntry is what is said of one code; Status is 0 for one that no server answers with.
type errorEntry struct {
	Code, Title, Cause, Cure string
	Status                   int
	Close                    *int
	Retryable                bool
}

var pageTemplate = template.Must(template.New("errors").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
<meta name="color-scheme" content="light dark"><title>Errors · Roomlog</title>
<meta name="description" content="Every error code of Roomlog, its cause and its cure.">
{{with .Icon}}<link rel="icon" type="image/svg+xml" href="{{.}}">{{end}}<script>{{.Script}}</script><style>{{.Style}}</style></head>
<body><div class="sheet"><header class="top"><p class="mark">{{with .Icon}}<img class="mark-sign" src="{{.}}" alt="">{{end}}<span>Roomlog</span></p>
{{if .Pages}}<nav class="pages" aria-label="Pages"><a href="/">Tunnel</a><a href="/chat">Chat</a><a href="/cursors">Cursors</a><a href="/board">Board</a><a href="/doc">Doc</a><a href="/dashboard">Dashboard</a></nav>{{end}}</header>
<main><h1>Errors</h1><p class="lead">Every error has one of these codes, on every transport: what led to it, and what to do.</p>
<ul class="codes" aria-label="All codes">{{range .Codes}}<li><a href="#{{.Code}}"><code>{{.Code}}</code></a></li>{{end}}
{{range .ClientCodes}}<li><a href="#{{.Code}}"><code>{{.Code}}</code></a></li>{{end}}</ul>
<h2>Said by the server</h2>
{{range .Codes}}{{template "entry" .}}{{end}}
<h2>Said by the client itself</h2>
{{range .ClientCodes}}{{template "entry" .}}{{end}}
<h2>Why a position cannot be continued</h2>
{{range .ResetReasons}}<section class="code-entry" id="reset-{{.Reason}}"><h3>{{.Reason}}</h3><p>{{.Cause}}</p></section>
{{end}}</main></div></body></html>
{{define "entry"}}<section class="code-entry" id="{{.Code}}"><h3>{{.Code}}</h3><p>{{.Title}}</p>
<dl><dt>Cause</dt><dd>{{.Cause}}</dd><dt>Cure</dt><dd>{{.Cure}}</dd></dl>
<p class="code-terms">{{with .Status}}HTTP {{.}} · {{end}}{{with .Close}}close {{.}} · {{end}}{{if .Retryable}}a retry may help{{else}}a retry does not help{{end}}</p></section>
{{end}}`))

// newErrorPage makes the page from spec/errors.json; pages tells that there are others to go to.
func newErrorPage(data []byte, look Look, pages bool) (*errorPage, error) {
	var spec struct {
		Codes        []errorEntry
		ClientCodes  []errorEntry                     `json:"client_codes"`
		ResetReasons []struct{ Reason, Cause string } `json:"reset_reasons"`
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, fmt.Errorf("read error codes: %w", err)
	}
	var icon template.URL
	if look.Icon != "" {
		icon = template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(look.Icon)))
	}
	var out bytes.Buffer
	err := pageTemplate.Execute(&out, struct {
		Style, Script, Icon, Codes, ClientCodes, ResetReasons any
		Pages                                                 bool
	}{template.CSS(look.Style), template.JS(look.Script), icon, spec.Codes, spec.ClientCodes, spec.ResetReasons, pages})
	if err != nil {
		return nil, fmt.Errorf("make the page of error codes: %w", err)
	}
	policy := []string{
		"default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "img-src data:", "font-src 'self'",
		"style-src " + hashOf(look.Style), "script-src " + hashOf(look.Script),
	}
	return &errorPage{out.Bytes(), strings.Join(policy, "; ")}, nil
}

// hashOf names an inline text, so that the policy of a page allows it and no other.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (p *errorPage) get(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Content-Length", strconv.Itoa(len(p.body)))
	_, _ = w.Write(p.body) // a client that has gone hears nothing
	return nil
}
