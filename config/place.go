package config

import (
	"net/url"
	"path/filepath"
	"strings"
)

// fileURL renders an absolute path as a file URL, on Windows too.
func fileURL(path string) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed
	}
	return (&url.URL{Scheme: "file", Path: slashed}).String()
}
