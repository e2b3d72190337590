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
)

// errorPage is GET /errors: what each code means and what to do about it, for people.
type errorPage struct{ body []byte }

// pageStyle is a constant, so that the page's policy can name it by its hash.
const pageStyle = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:60rem;margin:2rem auto;padding:0 1rem}` +
	`section{border-top:1px solid color-mix(in srgb,currentColor 25%,transparent);padding:.5rem 0}h2{font:600 1rem/1.5 ui-monospace,monospace;margin:.5rem 0}:target h2{text-decoration:underline}p{margin:.25rem 0}`

var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

var pageTemplate = template.Must(template.New("errors").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Errors · Roomlog</title><style>{{.Style}}</style></head>
<body><h1>Errors</h1><p>Every error has one of these codes, on every transport.</p>
{{range .Codes}}<section id="{{.Code}}"><h2>{{.Code}}</h2>
<p>{{.Title}}</p><p><b>Cause.</b> {{.Cause}}</p><p><b>Cure.</b> {{.Cure}}</p>
<p><small>HTTP {{.Status}}{{with .Close}} · close {{.}}{{end}} · {{if .Retryable}}a retry may help{{else}}a retry does not help{{end}}</small></p></section>
{{end}}{{with .ClientCodes}}<p>The TypeScript client makes these itself, for what no server answered.</p>
{{range .}}<section id="{{.Code}}"><h2>{{.Code}}</h2>
<p>{{.Title}}</p><p><b>Cause.</b> {{.Cause}}</p><p><b>Cure.</b> {{.Cure}}</p>
<p><small>made by the client · {{if .Retryable}}a retry may help{{else}}a retry does not help{{end}}</small></p></section>
{{end}}{{end}}</body></html>
`))

// newErrorPage makes the page from spec/errors.json.
func newErrorPage(data []byte) (*errorPage, error) {
	var spec struct {
		Codes []struct {
			Code, Title, Cause, Cure string
			Status                   int
			Close                    *int
			Retryable                bool
		}
		ClientCodes []struct {
			Code, Title, Cause, Cure string
			Retryable                bool
		} `json:"client_codes"`
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, fmt.Errorf("read error codes: %w", err)
	}
	var out bytes.Buffer
	err := pageTemplate.Execute(&out, struct{ Style, Codes, ClientCodes any }{template.CSS(pageStyle), spec.Codes, spec.ClientCodes})
	if err != nil {
		return nil, fmt.Errorf("make the page of error codes: %w", err)
	}
	return &errorPage{out.Bytes()}, nil
}

func (p *errorPage) get(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Content-Length", strconv.Itoa(len(p.body)))
	_, _ = w.Write(p.body) // a client that has gone hears nothing
	return nil
}
