package storage

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"mahavishnu/storage/azure"
	"mahavishnu/storage/dispersed"
	"mahavishnu/storage/gcs"
	"mahavishnu/storage/location"
	"mahavishnu/storage/s3"
)

// kinds are how the URLs of each kind of storage look.
var kinds = []struct{ scheme, form string }{
	{"file", "file:///absolute/path"},
	{"s3", "s3://bucket/prefix"},
	{"azblob", "azblob://container/prefix?account=NAME"},
	{"gs", "gs://bucket/prefix"},
	{dispersed.Scheme, dispersed.Scheme + ":4+2?at=URL&at=URL..."},
}

func isKind(scheme string) bool { return form(scheme) != "" }

func form(scheme string) string {
	for _, k := range kinds {
		if k.scheme == scheme {
			return k.form
		}
	}
	return ""
}

// opener opens a place that was understood.
type opener func(context.Context, OpenOptions) (Backend, error)

// CheckPlace says what is wrong with what is to name storage, as [OpenWith] would;
// nil when nothing is. It opens nothing.
func CheckPlace(place string) error {
	_, err := parse(place)
	return err
}

// parse reads a URL or a path. Its errors show no secret, however the URL is misspelt.
func parse(place string) (opener, error) {
	if strings.HasPrefix(place, dispersed.Scheme+":") {
		return parseDispersed(place)
	}
	if !strings.Contains(place, "://") {
		if err := checkPath(place); err != nil {
			return nil, err
		}
		return func(_ context.Context, o OpenOptions) (Backend, error) { return o.directory(place) }, nil
	}
	u, err := url.Parse(place)
	if err != nil {
		return nil, &Error{
			Op: opOpen, Object: "the configured URL", Err: errors.New("not a URL"),
			Hint: "write it as " + form("file") + ", and special characters as %XX",
		}
	}
	switch u.Scheme {
	case "file":
		path, err := filePath(u)
		return func(_ context.Context, o OpenOptions) (Backend, error) { return o.directory(path) }, err
	case "s3":
		c, err := s3.ParseURL(u)
		return func(ctx context.Context, o OpenOptions) (Backend, error) {
			return o.far(place, func(o OpenOptions) (Backend, error) { return opened(s3.Open(ctx, o.Credentials.forS3(c, o))) })
		}, err
	case "azblob":
		c, err := azure.ParseURL(u)
		return func(ctx context.Context, o OpenOptions) (Backend, error) {
			return o.far(place, func(o OpenOptions) (Backend, error) { return opened(azure.Open(ctx, o.Credentials.forAzure(c, o))) })
		}, err
	case "gs":
		c, err := gcs.ParseURL(u)
		return func(ctx context.Context, o OpenOptions) (Backend, error) {
			return o.far(place, func(o OpenOptions) (Backend, error) { return opened(gcs.Open(ctx, o.Credentials.forGCS(c, o))) })
		}, err
	}
	return nil, unknownKind(u)
}

func parseDispersed(place string) (opener, error) {
	l, err := dispersed.ParseURL(place)
	if err != nil {
		return nil, err
	}
	for _, at := range l.At {
		if err := CheckPlace(at); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, o OpenOptions) (Backend, error) { return o.dispersed(ctx, l) }, nil
}

func unknownKind(u *url.URL) error {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.scheme
	}
	hint := "write it as " + form("file")
	if near := location.Nearest(u.Scheme, names); near != "" {
		hint = "did you mean " + near + "? " + "write it as " + form(near)
	}
	return &Error{
		Op: opOpen, Object: location.Shown(u), Err: fmt.Errorf("unknown kind of storage %.40q; there are %s", u.Scheme, strings.Join(names, ", ")),
		Hint: hint,
	}
}

// misspelt is what begins like the URL of a kind of storage and is none: a colon
// without two slashes, or two slashes without a colon.
var misspelt = regexp.MustCompile(`^([a-z0-9]+)([:;.]?/*)`)

// longestShown is how much of a place that cannot be understood is shown, in bytes.
const longestShown = 60

// checkPath refuses as a path what was meant as a URL, most likely: a directory of
// that name would be made, and a secret in it be shown.
func checkPath(place string) error {
	shown := location.Masked(place)
	if len(shown) > longestShown {
		shown = strings.ToValidUTF8(shown[:longestShown], "") + "..."
	}
	found := misspelt.FindStringSubmatch(place)
	if found != nil && isKind(found[1]) && (found[2] == ":" || found[2] == ":/" || strings.Contains(found[2], "//")) {
		hint := "write it with a colon and two slashes, " + form(found[1])
		if !location.HasLogin(place) {
			hint += ", or ./" + shown + " when it is a directory"
		}
		return &Error{Op: opOpen, Object: shown, Err: errors.New("not the URL of storage"), Hint: hint}
	}
	if location.HasLogin(place) && !explicit(place) {
		return &Error{
			Op: opOpen, Object: shown, Err: errors.New("not the path of a directory, as it seems: somebody logs in with a secret in it"),
			Hint: "write storage as " + form("s3") + ", and secrets where docs/storage.md says; a directory of such a name is written with ./ before it",
		}
	}
	return nil
}

// explicit tells whether a path can be nothing else: it is absolute, or begins with a dot.
func explicit(path string) bool {
	return filepath.IsAbs(path) || filepath.VolumeName(path) != "" || strings.HasPrefix(path, ".") || strings.HasPrefix(path, "/")
}

// filePath returns the directory that a URL names.
func filePath(u *url.URL) (string, error) {
	if u.RawQuery != "" || u.Fragment != "" {
		return "", &Error{
			Op: opOpen, Object: location.Shown(u), Err: errors.New("a file URL has no part after ? or #"),
			Hint: "write ? as %3F and # as %23 when they are part of the path, or give the plain path",
		}
	}
	if u.Host != "" && u.Host != "localhost" {
		return "", &Error{
			Op: opOpen, Object: location.Shown(u), Err: fmt.Errorf("a file URL has no host, found %q", u.Host),
			Hint: "write it with three slashes: file:///" + u.Host + u.Path,
		}
	}
	return filepath.FromSlash(u.Path), nil
}
