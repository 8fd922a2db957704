package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestThePageIsCurrent(t *testing.T) {
	want, err := render("..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/configuration.md is out of date; run `go generate ./config` (-want +got):\n%s", diff)
	}
}

func TestEverySettingIsExplained(t *testing.T) {
	sections, err := readTypes("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range sections {
		for _, f := range s.fields {
			if f.key != "" && (!strings.HasSuffix(strings.TrimSpace(f.doc), ".") || len(f.doc) < 20) {
				t.Errorf("%s, key %s: the comment %q does not explain the setting in a sentence", name, f.key, f.doc)
			}
			if f.key != "" && kinds[f.typ] == "" {
				element := strings.NewReplacer("map[]", "", "[]", "").Replace(f.typ)
				if _, known := sections[element]; !known {
					t.Errorf("%s, key %s: the page has no name for the type %s", name, f.key, f.typ)
				}
			}
		}
	}
}
