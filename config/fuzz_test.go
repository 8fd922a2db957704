package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzParse asks of any text: it is loaded or refused with places inside it,
// never shows a planted secret, and what was loaded and printed loads again.
func FuzzParse(f *testing.F) {
	examples, err := filepath.Glob("../docs/examples/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range examples {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	archives, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	dir := f.TempDir()
	name := filepath.Join(dir, "mahavishnu.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(name, text, none)
		if err != nil {
			checkRefusal(t, text, err)
			return
		}
		if !c.NATS.Password.IsZero() || c.NATS.PasswordFile != "" {
			return // what is shown is masked, and does not load
		}
		var shown bytes.Buffer
		if err := c.Show(&shown, ShowOptions{}); err != nil {
			t.Fatal(err)
		}
		again, err := Parse(name, shown.Bytes(), none)
		if err != nil {
			t.Fatalf("what was printed does not load: %v\n%s", err, shown.String())
		}
		if changed, _ := Differences(c, again); len(changed) > 0 {
			t.Fatalf("printing changed %v\n%s", changed, shown.String())
		}
		c.Notices()
		for _, s := range c.Schedules() {
			if _, err := ParseCron(s.Cron); err != nil {
				t.Fatalf("schedule %s was accepted with %q: %v", s.Name, s.Cron, err)
			}
		}
	})
}

func checkRefusal(t *testing.T, text []byte, err error) {
	t.Helper()
	var errs Errors
	if !errors.As(err, &errs) || len(errs) == 0 {
		t.Fatalf("refused with %T: %v", err, err)
	}
	lines := strings.Count(string(text), "\n") + 1
	for _, e := range errs {
		if e.Message == "" || e.Line < 0 || e.Line > lines || e.Line > 0 && e.Column < 1 {
			t.Fatalf("error %+v in a text of %d lines", e, lines)
		}
	}
}
