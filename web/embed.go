// Package web holds the pages: built by Vite into dist, embedded, and served under one strict policy.
//
// The package compiles before the pages are built; [Handler] then says what to run.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// Policy is the Content-Security-Policy of the pages: nothing inline and nothing from elsewhere. The one trusted type is
// the address of the chat's service worker.
// Connections to loopback ports are allowed since a pane of Home connects through a fault proxy of
// its own, which the server opens on a free port.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; " +
	"connect-src 'self' http://127.0.0.1:* ws://127.0.0.1:* http://localhost:* ws://localhost:*; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types shell"

// How long a browser may keep a file. Names under assets/ carry a hash of the content, so those
// never change; the documents name them, so they must never be old. They are not forbidden to be
// kept altogether: then a browser would not keep the page for its back button either.
const (
	keepForever = "public, max-age=31536000, immutable"
	askFirst    = "no-cache"
	keepNothing = "no-store"
)

//go:embed all:dist
var dist embed.FS

// Handler serves the pages: the document of each under its name without .html (index at /), their
// files by name, 404 for everything else and 503 while the pages are not built. It may be used concurrently.
func Handler() http.Handler {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // only an invalid name does that
	}
	return newHandler(built)
}

// file is one file of the pages, ready to be sent.
type file struct {
	body     []byte
	kind     string // its Content-Type
	caching  string
	identity string // its ETag
}

type handler struct {
	byPath map[string]file
}

// newHandler reads all files of built once; they are embedded or small.
func newHandler(built fs.FS) *handler {
	h := &handler{byPath: map[string]file{}}
	err := fs.WalkDir(built, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		body, err := fs.ReadFile(built, name)
		if err != nil {
			return err
		}
		h.byPath[urlOf(name)] = newFile(name, body)
		return nil
	})
	if err != nil {
		panic(fmt.Errorf("read the embedded pages: %w", err)) // they are part of the program
	}
	return h
}

// urlOf is the one path under which a file of dist is served.
func urlOf(name string) string {
	if name == "index.html" {
		return "/"
	}
	return "/" + strings.TrimSuffix(name, ".html")
}

func newFile(name string, body []byte) file {
	f := file{body: body, kind: mime.TypeByExtension(path.Ext(name)), caching: askFirst}
	if strings.HasPrefix(name, "assets/") {
		f.caching = keepForever
	}
	if path.Ext(name) == ".woff2" {
		f.kind = "font/woff2" // not every system's table knows it
	}
	sum := sha256.Sum256(body)
	f.identity = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return f
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", Policy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "The pages are only read.", http.StatusMethodNotAllowed)
		return
	}
	f, found := h.byPath[r.URL.Path]
	switch {
	case found:
		head.Set("Content-Type", f.kind)
		head.Set("Cache-Control", f.caching)
		head.Set("ETag", f.identity)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
	case r.URL.Path == "/":
		head.Set("Cache-Control", keepNothing)
		http.Error(w, "The pages are not built. Run: make build", http.StatusServiceUnavailable)
	default:
		head.Set("Cache-Control", keepNothing)
		http.Error(w, "There is no such page.", http.StatusNotFound)
	}
}
